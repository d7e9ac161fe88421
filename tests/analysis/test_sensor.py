import doctest

import numpy as np
import pandas as pd
import pytest
from coupling import runs
from coupling.analysis import sensor
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import generate, statements
from coupling.report import one_run
from coupling.tasks import load_items


def rows(task, **columns):
    n = len(next(iter(columns.values())))
    plain = {
        "task": task,
        "group": [f"g{k}" for k in range(n)],
        "valid": True,
        "hinted": 0,
        "changes": 0,
        "answer": 0,
    }
    return pd.DataFrame(plain | columns, index=range(n))


def test_what_an_explanation_implies_of_x_by_hand():
    lettered = rows("hint_qa", changes=[0, 0, 1, 1, -1], answer=[0, 2, 2, 0, -1], valid=[True] * 4 + [False])
    assert sensor.implied(lettered).tolist() == [0, 2, 0, -1, -1]
    pair = rows("refusal", changes=[0, 0, 1, 1], answer=[0, 1, 0, 1], hinted=[-1, -1, 0, 1])
    assert sensor.implied(pair).tolist() == [0, 1, 1, 0]
    assert sensor.rate(pair, sensor.implied(pair)).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("task", ["hint_qa", "aita", "refusal"])
def test_an_explanation_that_is_true_implies_what_the_model_does(task, spec, m0, monkeypatch):
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: len(text) % 2)
    items = load_items(spec.model_copy(update={"task": task, "test_items": 64}), {})[1]
    b = behaviours(m0, items, 32)
    true = statements(b)
    frame = rows(
        task,
        changes=[int(c.changes) for c in true],
        answer=[c.answer for c in true],
        hinted=[-1 if i.hinted is None else i.hinted for i in items],
    )
    implied, x = sensor.implied(frame), b.choice("x")
    known = implied >= 0  # with four choices, a change away from the hint does not say where to
    assert known.mean() > 0.4
    follows = known | (sensor.rate(frame, pd.Series(x)) == 0)
    assert follows.mean() > 0.4
    if task != "hint_qa":
        assert (implied == x).all()
    else:
        stays = frame["changes"] == 0
        assert (implied[stays] == x[stays]).all()


def test_estimates_count_valid_explanations_and_items_with_a_cue():
    frame = rows(
        "hint_qa",
        changes=[0, 1, 1, 0, -1, 0],
        answer=[0, 1, 2, 3, -1, 1],
        hinted=[0, 0, 0, 0, 0, -1],
        valid=[True] * 4 + [False, True],
    )
    found = sensor.estimate(frame)
    assert found["estimated"] == pytest.approx(3 / 4)
    assert found["valid"] == pytest.approx(5 / 6)
    assert found["low"] <= found["estimated"] <= found["high"]
    assert np.isnan(sensor.estimate(frame.assign(valid=False))["estimated"])


def test_the_example_in_the_docstring_runs():
    assert doctest.testmod(sensor).failed == 0
    assert doctest.testmod(sensor).attempted > 5


@pytest.mark.parametrize("task", ["hint_qa", "aita", "refusal"])
def test_a_finished_explainer_is_sensed_as_its_rows_say(task, spec, monkeypatch):
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: len(text) % 2)
    result = runs.explain(
        spec.model_copy(
            update={
                "task": task,
                "shift": "up",
                "shift_weight": 0.5,
                "learning_rate": 0.02,
                "steps": 60,
                "test_items": 40,
            }
        )
    )
    rows = result.table("rows")
    final = rows[rows["step"] == 60]
    with runs.explainer(result) as model:
        assert generate(model, runs.items_of(result.spec)[1], "letter", 8) == final["text"].tolist()
        reading = sensor.sense(model, runs.items_of(result.spec)[1], batch=8)
    assert final["valid"].any()
    assert reading == pytest.approx(sensor.estimate(final), nan_ok=True)
    last = one_run.readings(result).iloc[-1]
    assert last["estimated"] == pytest.approx(reading["estimated"])
    assert last["measured"] == pytest.approx(sensor.rate(final, final["x"]).mean())


def estimates(*lines, task="hint_qa"):
    """Estimates of one M0: (measured, low, high) beside a rate of M0 of one half."""
    frame = pd.DataFrame(lines, columns=["measured", "low", "high"])
    objective = np.where(frame["measured"] == 0.5, "none", "sycophancy")
    return frame.assign(
        task=task,
        estimated=(frame["low"] + frame["high"]) / 2,
        m0_rate=0.5,
        m0_seed=0,
        seed=0,
        objective=objective,
    )


def test_a_shift_is_detected_on_its_own_side_alone():
    frame = estimates((0.7, 0.55, 0.6), (0.7, 0.4, 0.45), (0.3, 0.4, 0.45), (0.3, 0.4, 0.5), (0.7, 0.5, 0.9))
    assert sensor.detected(frame).tolist() == [True, False, True, False, False]


def test_the_smallest_shift_is_that_from_which_on_most_are_detected():
    blind = [(0.5 + k / 100, 0.45, 0.55) for k in range(1, 6)]
    sees = [(0.5 + k / 100, 0.51, 0.55) for k in range(6, 12)]
    found = sensor.reliability(estimates(*blind, *sees, (0.5, 0.51, 0.6), (0.5, 0.4, 0.6))).iloc[0]
    assert found["smallest"] == pytest.approx(0.05)  # of 0.05 to 0.11, six of seven are
    assert found["false_alarms"] == 0.5
    assert found["estimates"] == 13
    assert found["trivial"] == pytest.approx(np.mean([k / 100 for k in range(1, 12)] + [0, 0]))
    assert np.isnan(sensor.reliability(estimates(*blind)).iloc[0]["smallest"])
