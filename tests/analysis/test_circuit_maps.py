"""Maps of sites and how alike they are, the rule that decides by them, and the figure that shows them."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import circuits, tables
from coupling.analysis.claims import Evidence, Missing, Ref, decide
from coupling.analysis.claims.rules.circuits import shares_circuits
from coupling.analysis.claims.verdicts import Row
from coupling.report import answers
from coupling.report.figures import circuits as figure
from coupling.report.figures import style
from coupling.sweep import Claim, read_sweep
from made_maps import made_sites, made_study
from scipy import stats

ON, IMITATOR = Ref("circuits", "KL on"), Ref("circuits", "imitator")


def evidence(sites):
    """Evidence of a sweep with these circuits, and with runs of which none is collapsed."""
    found = circuits.similarity(sites)
    runs = found[["task", "condition", "m0_seed", "seed"]].drop_duplicates().assign(step=600, collapsed="")
    every = dict.fromkeys(tables.Tables.__dataclass_fields__) | {"similarity": found, "runs": runs}
    return Evidence("tiny", lambda profile, sweep: tables.Tables(**every))


def test_rank_correlation_is_spearmans_with_ties_too():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 3, 12)).astype(float)
    wanted = [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert circuits.correlation(a, b) == pytest.approx(wanted)
    assert np.isnan(circuits.correlation(np.ones(5), b[0, :5]))


@pytest.mark.parametrize("alike", [1.0, 0.0, -1.0])
def test_similarity_is_that_of_the_maps(alike):
    found = circuits.similarity(made_sites(alike)).iloc[0]
    if alike:
        assert found["answers"] == pytest.approx(alike)
        assert found["answers_low"] == pytest.approx(found["answers_high"])  # every fold has the same map
    else:
        assert abs(found["answers"]) < 0.4
    assert abs(found["flags"]) < 0.4
    assert found["reliable_answers"] == pytest.approx(1)
    assert found["sites"] == 48  # those at the request are left out: no behaviour reads it


def test_sites_at_the_request_and_other_ways_count_for_nothing():
    sites = made_sites(0.8)
    asked = (sites["group"] == "request").to_numpy()
    changed = sites.assign(answer=sites["answer"].where(~asked, 99.0))
    other = made_sites(-1.0, way="cue")
    pd.testing.assert_frame_equal(
        circuits.similarity(pd.concat([changed, other])), circuits.similarity(sites)
    )


def test_folds_that_differ_widen_the_interval_and_lower_the_reliability():
    calm, rough = (circuits.similarity(made_sites(0.9, noise=noise)).iloc[0] for noise in (0.1, 3.0))
    assert calm["answers_low"] < calm["answers_high"]
    assert rough["answers_high"] - rough["answers_low"] > calm["answers_high"] - calm["answers_low"]
    assert rough["reliable_answers"] < 0.7 < calm["reliable_answers"]


def test_maps_weight_runs_by_their_items():
    both = pd.concat([made_sites(items=1).assign(x=0.0), made_sites(draw=1, items=3, seed=1).assign(x=4.0)])
    found = circuits.maps(both)
    assert (found["x"] == 3.0).all()
    assert (found["items"] == 20).all()
    assert len(found) == 60


def test_the_rule_tells_coupling_from_imitation():
    claim = Claim(number="10", text="shared circuits", tasks=["hint_qa"], rule="shares_circuits", part=13)
    for coupled, imitator, verdict in ((0.85, 0.3, True), (0.5, 0.5, False)):
        found = shares_circuits(evidence(made_study(coupled, imitator)), "hint_qa", ON, IMITATOR, "answers")
        assert found.effect.seeds == 5
        assert found.effect.above == verdict
        named = {name.split(",")[0]: outcome for name, outcome in found.controls.items()}
        assert named["maps alike on two halves of the items"] is True
        assert named["maps more alike than before training"] is True
        assert named["preference above one half with coupling"] is Missing.NOT_RUN
        line = decide([Row(claim, "tiny", "hint_qa", found, "met")]).iloc[0]
        assert line["verdict"] == ("inconclusive" if verdict else "not replicated")  # a control was not run
    flags = shares_circuits(evidence(made_study(0.85, 0.3)), "hint_qa", ON, IMITATOR, "flags")
    assert not flags.effect.above
    before = shares_circuits(
        evidence(made_study(0.5, 0.0, untrained=0.95)), "hint_qa", ON, IMITATOR, "answers"
    )
    assert before.controls["maps more alike than before training"] is False


def test_tasks_are_pooled_by_m0():
    sites = pd.concat([made_study(0.9, 0.2), made_study(0.1, 0.2).assign(task="aita")])
    found = {
        task: shares_circuits(evidence(sites), task, ON, IMITATOR, "answers").effect.value
        for task in ("hint_qa", "aita", "hint_qa+aita")
    }
    assert found["hint_qa+aita"] == pytest.approx((found["hint_qa"] + found["aita"]) / 2)


def test_the_figure_shows_a_row_a_task_and_its_words_hold_the_numbers():
    sites = pd.concat([made_study(0.9, 0.2), made_study(0.8, 0.2).assign(task="aita")])
    maps, similarity = circuits.maps(sites), circuits.similarity(sites)
    preferences = made_preferences(similarity)
    with style.styled():
        drawn = figure.draw(maps, similarity, preferences)
    assert len(drawn.axes) == 11
    assert len(drawn.axes[-1].lines) == 3  # two conditions, and the null
    alike = circuits.summary(similarity).groupby("condition")["answers"].mean()
    assert f"{alike['KL on']:.2f} with KL on" in drawn.alt
    assert f"{alike['imitator']:.2f} imitator" in drawn.alt
    dark = drawn.axes[1].images[0].get_array()
    of_task = maps[(maps["task"] == "hint_qa") & (maps["condition"] == "KL on") & maps["trained"]]
    assert dark.max() == pytest.approx(
        of_task.groupby(["layer", "part", "group"])["answer"].mean().max(), abs=1e-3
    )
    answer = answers.of_tables("circuits", _tables(maps, similarity, preferences))
    assert len(answer.rows) == 6
    assert any("lies above zero for" in sentence for sentence in answer.found)
    assert answer.found[-1].endswith("have a rank correlation of +1.000 (+1.000 to +1.000).")


def _tables(maps, similarity, preference):
    every = dict.fromkeys(tables.Tables.__dataclass_fields__)
    return tables.Tables(**every | {"circuits": maps, "similarity": similarity, "preference": preference})


def made_preferences(similarity, sign=1):
    """Preferences of one pair of runs a condition and M0, which rise or fall with the similarity."""
    trained = similarity[similarity["trained"]]
    rows = trained[["task", "condition", "m0_seed"]].assign(step=600, region="all")
    return rows.assign(preference=0.5 + sign * 0.1 * trained["answers"])


@pytest.mark.parametrize("sign", [1, -1])
def test_similarity_beside_preference_is_ranked_within_tasks(sign):
    sites = pd.concat([made_study(0.9, 0.2), made_study(0.5, 0.1).assign(task="aita")])
    similarity = circuits.similarity(sites)
    preferences = made_preferences(similarity, sign)
    shifted = preferences.assign(
        preference=preferences["preference"] + 5 * sign * (preferences["task"] == "aita")
    )
    earlier = shifted.assign(step=300, preference=0.0)
    parts = [shifted, earlier, shifted.assign(region="held out", preference=9.0)]
    beside = circuits.beside_preference(similarity, pd.concat(parts))
    assert len(beside) == 20
    assert circuits.predicts(beside) == pytest.approx((sign, sign, sign))
    parts.append(shifted.assign(region="labelled", preference=0.25))
    pd.testing.assert_frame_equal(circuits.beside_preference(similarity, pd.concat(parts)), beside)
    halves = pd.concat([similarity, similarity.assign(region="held out")])
    assert (circuits.beside_preference(halves, pd.concat(parts))["preference"] == 0.25).all()
    assert np.isnan(circuits.predicts(beside[:0])).all()


def test_before_training_is_m0_as_patched_beside_the_first_condition():
    first, second = made_study(0.9, 0.2, untrained=0.8), made_study(0.9, 0.2, untrained=-0.8)
    again = second[(second["condition"] == "KL on") & ~second["trained"]].assign(condition="imitator")
    mixed = pd.concat([first, again])
    found, alone = (circuits.summary(circuits.similarity(sites)) for sites in (mixed, first))
    before = [rows.set_index("condition").loc[circuits.UNTRAINED, "answers"] for rows in (found, alone)]
    assert before[0] == before[1] > 0.5


def test_maps_of_the_imitator_must_be_measured_well_too():
    sites = made_study(0.85, 0.3)
    imitator = sites["condition"] == "imitator"
    noise = np.random.default_rng(0).normal(scale=50, size=len(sites))
    noisy = sites.assign(answer=sites["answer"] + noise * imitator)
    found = shares_circuits(evidence(noisy), "hint_qa", ON, IMITATOR, "answers")
    assert found.controls["maps alike on two halves of the items, at 0.7 or more"] is False


def test_one_m0_with_one_explainer_has_the_interval_over_items():
    found = circuits.summary(circuits.similarity(made_sites(0.9, noise=0.5))).iloc[0]
    alone = circuits.similarity(made_sites(0.9, noise=0.5)).iloc[0]
    assert found["answers_low"] == alone["answers_low"]
    assert found["m0s"] == 1


def test_the_sweep_patches_the_runs_of_the_confirmation():
    """So that none of them is trained twice: they differ in what is patched, and in nothing else."""
    ours, theirs = (read_sweep(name).at("tiny") for name in ("circuits", "confirm"))
    patched = {"patched_items"}
    assert {k: v for k, v in ours.values.items() if k not in patched} == theirs.values
    assert ours.first_m0_seed == theirs.first_m0_seed
    for name in ("KL on", "KL off"):
        assert ours.conditions[name] == theirs.conditions[name]
    regions = read_sweep("confirm_regions").at("tiny").conditions["labels in half of the kinds"]
    assert ours.conditions["labels in half of the kinds"] == regions
    assert ours.conditions["imitator"] == read_sweep("confirm_controls").at("tiny").conditions["sibling"]
