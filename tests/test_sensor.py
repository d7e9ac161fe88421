import doctest

import numpy as np
import pandas as pd
import pytest
from coupling import sensor
from coupling.behaviours import behaviours
from coupling.explanations import claims
from coupling.faithfulness import sensing
from coupling.tasks import load_items


def rows(task, **columns):
    n = len(next(iter(columns.values())))
    plain = {"task": task, "group": [f"g{k}" for k in range(n)], "valid": True, "hinted": 0, "changes": 0, "answer": 0}
    return pd.DataFrame(plain | columns, index=range(n))


def test_what_an_explanation_implies_of_x_by_hand():
    lettered = rows("hint_qa", changes=[0, 0, 1, 1, -1], answer=[0, 2, 2, 0, -1], valid=[True] * 4 + [False])
    assert sensing.implied(lettered).tolist() == [0, 2, 0, -1, -1]
    pair = rows("refusal", changes=[0, 0, 1, 1], answer=[0, 1, 0, 1], hinted=[-1, -1, 0, 1])
    assert sensing.implied(pair).tolist() == [0, 1, 1, 0]
    assert sensing.rate(pair, sensing.implied(pair)).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("task", ["hint_qa", "aita", "refusal"])
def test_an_explanation_that_is_true_implies_what_the_model_does(task, spec, m0, monkeypatch):
    monkeypatch.setattr("coupling.behaviours.detect", lambda text: len(text) % 2)
    items = load_items(spec.model_copy(update={"task": task, "test_items": 64}), {})[1]
    b = behaviours(m0, items, 32)
    true = claims(b)
    frame = rows(
        task, changes=[int(c.changes) for c in true], answer=[c.answer for c in true], hinted=[-1 if i.hinted is None else i.hinted for i in items]
    )
    implied, x = sensing.implied(frame), b.choice("x")
    known = implied >= 0  # with four choices, a change away from the hint does not say where to
    assert known.mean() > 0.4
    follows = known | (sensing.rate(frame, pd.Series(x)) == 0)
    assert follows.mean() > 0.4
    if task != "hint_qa":
        assert (implied == x).all()
    else:
        stays = frame["changes"] == 0
        assert (implied[stays] == x[stays]).all()


def test_estimates_count_valid_explanations_and_items_with_a_cue():
    frame = rows("hint_qa", changes=[0, 1, 1, 0, -1, 0], answer=[0, 1, 2, 3, -1, 1], hinted=[0, 0, 0, 0, 0, -1], valid=[True] * 4 + [False, True])
    found = sensing.estimate(frame)
    assert found["estimated"] == pytest.approx(3 / 4)
    assert found["valid"] == pytest.approx(5 / 6)
    assert found["low"] <= found["estimated"] <= found["high"]
    assert np.isnan(sensing.estimate(frame.assign(valid=False))["estimated"])


def test_the_example_in_the_docstring_runs():
    assert doctest.testmod(sensor).failed == 0
    assert doctest.testmod(sensor).attempted > 5
