"""How far the first steps move the weights, by rank."""

import pandas as pd
import pytest
from coupling import runs
from coupling.analysis import step_size
from coupling.models import adapted
from coupling.models.adapter import lora_layers, update_norm
from coupling.runs.records import PublishError
from made_models import stir


def test_the_norm_is_that_of_what_the_adapter_adds(spec, m0):
    with adapted(m0, spec.model_copy(update={"lora_alpha": 0.5})) as tuned:
        assert update_norm(tuned.model) == 0
        stir(tuned)
        added = [layer.get_delta_weight("default").detach() for layer in lora_layers(tuned.model)]
        assert update_norm(tuned.model) == pytest.approx(float(sum((d**2).sum() for d in added)) ** 0.5)


def test_a_rate_changed_by_the_factor_moves_the_weights_as_far(spec):
    norms = []
    runs.base(spec)
    for rank, rate in ((4, 1e-4), (16, 1e-4), (16, None)):
        if rate is None:
            factor = step_size.factors(pd.DataFrame(norms), 4)
            assert factor[4] == 1
            rate = 1e-4 * factor[16]
        some = spec.model_copy(
            update={"rank": rank, "learning_rate": rate, "evaluations": 1, "kl_weight": 0.0}
        )
        moved = runs.explain(some).manifest["update_norm"]
        norms.append({"rank": rank, "m0_seed": 0, "norm": moved})
    assert norms[1]["norm"] > 1.3 * norms[0]["norm"]
    assert norms[2]["norm"] == pytest.approx(norms[0]["norm"], rel=0.05)


def test_factors_are_means_over_m0s():
    found = pd.DataFrame(
        [
            {"rank": rank, "m0_seed": seed, "norm": norm}
            for rank, seed, norm in ((8, 0, 1.0), (8, 1, 1.0), (32, 0, 2.0), (32, 1, 8.0))
        ]
    )
    assert step_size.factors(found, 32).to_dict() == {8: pytest.approx(4.0), 32: 1.0}


def test_runs_that_are_not_there_are_named():
    with pytest.raises(PublishError, match="run the sweep first"):
        step_size.norms()


def test_norms_are_read_from_published_records(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    found = step_size.norms()
    wide = found.pivot(index="m0_seed", columns="rank", values="norm")
    assert (wide[8] < wide[32]).all()
    assert (wide[32] < wide[128]).all()
