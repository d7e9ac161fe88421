"""A sweep of pushes from its runs to its tables, its figure and its rules, at the smallest size."""

import pandas as pd
import pytest
from conftest import SMALL
from coupling import runs
from coupling.analysis import following, tables
from coupling.analysis.claims import Evidence, Ref
from coupling.analysis.claims.rules import following as rules
from coupling.report import answers
from coupling.report.figures.following import draw
from coupling.spec import make_spec

DOWN = {"shift": "down", "shift_reach": "half"}
FIRST = {"shift_order": "after", "shift_steps": 6, "shift_adapter": "own"}
CHOSEN = {
    "labels on all": {},
    "labels on all, down": DOWN,
    "labels on half": {"held_out": 0.5},
    "labels on half, down": DOWN | {"held_out": 0.5},
    "labels on half, up": DOWN | {"held_out": 0.5, "shift": "up"},
    "explanations first": DOWN | FIRST | {"held_out": 0.5},
    "facts": {"shift": "reteach"},
    "policy": {"shift": "down", "shift_reach": "entities"},
    "KL to the shift alone": DOWN | {"kl_to": "shifted"},
}


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """The tables of the sweep, run and collected once."""
    top = tmp_path_factory.mktemp("pushed")
    spec = make_spec("tiny", **SMALL | {"attributes": 2, "test_items": 60, "learning_rate": 0.02})
    plan = [
        (condition, spec.model_copy(update=values | {"seed": seed}))
        for condition, values in CHOSEN.items()
        for seed in (0, 1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUPLING_RESULTS", str(top / "results"))
        patch.setenv("COUPLING_FIGURES", str(top / "figures"))
        models = runs.Models()
        for _, one in plan:
            runs.explain(one, models=models)
        return tables.collect("shift", plan)


def test_each_run_pushes_one_of_two_kinds_and_another_than_the_other_explainer(pushed):
    rows = pushed.items[pushed.items["condition"] == "labels on half, down"]
    by_kind = rows.groupby(["seed", "kind"])["pushed"].agg(["min", "max"])
    assert (by_kind["min"] == by_kind["max"]).all()
    wide = by_kind["min"].unstack()
    assert (wide.sum() == 1).all()
    assert (wide.sum(axis=1) == 1).all()
    up = pushed.items[pushed.items["condition"] == "labels on half, up"]
    assert up["pushed"].tolist() == rows["pushed"].tolist()


def test_labels_are_said_of_each_run_and_entities_of_taught_ones(pushed):
    share = pushed.items.groupby("condition")["labelled"].mean()
    assert share["labels on all, down"] == share["facts"] == 1
    assert 0 < share["labels on half"] < 1
    taught = pushed.items[pushed.items["condition"].isin(["facts", "policy"])]
    by_group = taught.groupby(["condition", "seed", "group"])["pushed"].first().unstack("condition")
    assert (by_group["facts"] == by_group["policy"]).all()
    assert by_group["facts"].mean() == pytest.approx(0.5, abs=0.1)


def test_every_arm_has_a_row_for_each_region_and_can_be_drawn_and_decided(pushed):
    shift = pushed.shift.set_index("condition")
    assert shift.loc["labels on half", "arm"].eq("labels and KL on half").all()
    assert shift.loc["explanations first", "arm"].eq("explanations first").all()
    assert len(shift.loc["labels on half, down"]) == 4  # two explainers, two kinds
    found = following.by_arm(pushed.shift)
    assert {"labels on all kinds", "facts of half of the entities", "KL to the shift alone"} <= set(
        found["arm"]
    )
    assert draw(pushed.shift).axes
    assert len(answers.of_tables("following", pushed).rows) == len(found)
    evidence = Evidence("tiny", lambda profile, sweep: pushed)
    ends = Ref("shift", "labels on half, down"), Ref("shift", "labels on half, up")
    for decided in (
        rules.follows_push(evidence, "hint_qa", *ends),
        rules.follows_direction(evidence, "hint_qa", *ends),
        rules.follows_push(evidence, "hint_qa", Ref("shift", "facts"), where="labelled"),
        rules.flips_stated(evidence, "hint_qa", Ref("shift", "labels on half")),
        rules.knowledge_over_policy(
            evidence, "hint_qa", Ref("shift", "facts"), Ref("shift", "policy"), "answer"
        ),
    ):
        assert decided.controls
        assert decided.rests_on
    pd.testing.assert_frame_equal(pushed.shift, pushed.shift.drop_duplicates())
