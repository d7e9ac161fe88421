"""The gate: which settings are fit, and what a learning curve extrapolates to."""

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL
from coupling import runs
from coupling import sweep as sweeps
from coupling.analysis import gate
from coupling.report.figures.gate import draw
from coupling.runs import records
from coupling.spec import make_spec
from coupling.sweep import plan


def rows(stays_right=30, changes_right=30, **columns):
    """100 rows in ten groups: 40 labels say "stays" and 60 "changes"; so many explanations state the flag."""
    label = np.array([0] * 40 + [1] * 60)
    said = np.concatenate(
        [np.arange(40) >= stays_right, np.arange(60) < changes_right],
    ).astype(int)
    frame = {"target_x": 0, "target_cf": label, "changes": said, "group": [f"g{k % 10}" for k in range(100)]}
    about = {"target_content": label == said, "valid": True, "mass_x": 0.9, "mass_cf": 0.9}
    return pd.DataFrame(frame | about | columns)


def test_the_flag_is_the_mean_of_what_is_right_on_each_kind_of_label():
    found = gate.flag_accuracy(rows(stays_right=30, changes_right=15))
    assert (found["stays"], found["changes"], found["flag"]) == (0.75, 0.25, 0.5)
    assert found["flag_low"] < 0.5 < found["flag_high"]
    always = gate.flag_accuracy(rows(stays_right=0, changes_right=60))
    assert (always["flag"], always["flag_low"], always["flag_high"]) == (0.5, 0.5, 0.5)


def test_an_explanation_that_is_no_label_states_no_flag():
    frame = rows(stays_right=40, changes_right=60)
    frame.loc[:9, "changes"] = -1
    assert gate.flag_accuracy(frame)["stays"] == 0.75


def test_the_interval_of_the_flag_is_over_groups():
    """Ten groups that each hold one answer ten times tell less than a hundred items would."""
    frame = rows(stays_right=20, changes_right=30)
    alone = gate.flag_accuracy(frame.assign(group=[str(k) for k in range(100)]))
    together = gate.flag_accuracy(frame.assign(group=[str(k // 10) for k in range(100)]))
    width = [found["flag_high"] - found["flag_low"] for found in (alone, together)]
    assert width[1] > 1.5 * width[0]


@pytest.mark.parametrize(
    ("changed", "fit"),
    [
        ({}, True),
        ({"stays_right": 31, "changes_right": 31}, False),
        ({"valid": [False] * 6 + [True] * 94}, False),
        ({"mass_x": 0.69}, False),
        ({"mass_cf": 0.69}, False),
    ],
)
def test_a_setting_is_fit_only_where_all_three_hold(changed, fit):
    values = {"stays_right": 32, "changes_right": 31} | changed
    assert gate.is_fit(gate.measured(rows(**values))) is fit


def test_the_rungs_come_from_the_cheapest_on_and_no_gap_plays_a_part():
    rungs = plan("medium", gate.SWEEP)
    cost = [(spec.rank, spec.steps, spec.learning_rate) for _, spec in rungs]
    assert cost == sorted(cost)
    for rung, spec in rungs:
        assert rung == f"{spec.rank}, {spec.learning_rate:g}, {spec.steps * spec.batch_size}"
        assert (spec.mmlu_half, spec.label_format, spec.kl_weight) == ("training", "content", 1.0)
    assert "gap" not in gate.measured(rows())


def test_the_table_holds_every_evaluation_of_the_rungs_that_were_run(monkeypatch):
    ladder = [(f"{r}, 0.002, 48", make_spec("tiny", **SMALL | {"rank": r})) for r in (2, 4)]
    monkeypatch.setattr(sweeps, "plan", lambda profile, name: ladder)
    assert gate.table("tiny").empty
    runs.explain(ladder[1][1])
    records.publish("gate", [ladder[1][1]])
    found = gate.table("tiny")
    assert found["item_steps"].tolist() == [0, 16, 32, 48]
    assert found["items"].tolist() == [16, 16, 16, 24]
    assert found["final"].tolist() == [False, False, False, True]
    assert set(found["rung"]) == {"4, 0.002, 48"}
    assert (found["hours"] > 0).all()
    assert draw(found).alt == "None of 1 settings teaches the flag"


def test_what_it_would_take_is_read_off_settings_that_differ_in_length_alone():
    curve = pd.DataFrame(
        {
            "rank": [64, 64, 64, 64, 128],
            "learning_rate": [1e-4, 1e-4, 2e-4, 2e-4, 1e-4],
            "total": [100, 200, 100, 200, 100],
            "flag": [0.45, 0.55, 0.6, 0.5, 0.6],
            "final": True,
        }
    )
    found = gate.needed(curve).set_index("learning_rate")
    assert found["per_doubling"].tolist() == pytest.approx([0.1, -0.1])
    assert found["item_steps"].tolist() == pytest.approx([400, float("inf")])
    assert gate.needed(curve[:1]).empty
