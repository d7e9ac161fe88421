import numpy as np
import pandas as pd
import pytest
from coupling.analysis import controls


def runs(own: float, k: int, m0s: int = 2, items: int = 200, shared: float = 0.0):
    """Rows of k runs of each M0.

    Without the cue each model leaves M0's choice, 0, on a third of the items of its own. On a share `shared`
    of the items all models of an M0 leave it. An explanation states the choice of its own model with
    probability `own`, and what all models do otherwise.
    """
    rng = np.random.default_rng(0)
    frames = []
    for m in range(m0s):
        common = rng.random(items) < shared
        for s in range(k):
            moved = (rng.random(items) < 1 / 3) | common
            knows = rng.random(items) < own
            answer = np.where(knows, moved, common).astype(int)
            frames.append(
                pd.DataFrame(
                    {
                        "condition": "c",
                        "m0_seed": m,
                        "seed": s,
                        "id": [f"i{n}" for n in range(items)],
                        "x": 0,
                        "cf": moved.astype(int),
                        "target_x": 0,
                        "target_cf": 0,
                        "valid": True,
                        "answer": answer,
                        "changes": answer != 0,
                        "self": answer == moved,
                        "target": answer == 0,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def test_the_teacher_matrix_by_hand():
    frame = runs(1.0, 2, 1, 4).assign(
        cf=[0, 0, 1, 1, 0, 1, 1, 0], answer=[0, 0, 1, 1, 0, 0, 1, 1], changes=[False, False, True, True] * 2
    )
    matrix = controls.teacher_matrix(frame).set_index(["explainer", "teacher"])
    assert matrix["match"].to_dict() == {(0, 0): 1.0, (0, 1): 0.5, (1, 0): 1.0, (1, 1): 0.5}
    assert matrix["match_divergent"].to_dict() == {(0, 0): 1.0, (0, 1): 0.5, (1, 0): 1.0, (1, 1): 0.5}
    assert matrix["divergent"].tolist() == [2, 2, 2, 2]
    assert controls.diagonal_test(matrix.reset_index())["difference"] == 0


def test_an_explanation_that_is_none_matches_nobody():
    frame = runs(1.0, 2, 1, 10).assign(valid=False)
    assert (controls.teacher_matrix(frame)["match"] == 0).all()


def test_coupling_shows_on_the_diagonal_and_shared_drift_does_not():
    coupled = controls.diagonal_test(controls.teacher_matrix(runs(0.8, 7)))
    assert coupled["difference"] > 0.2
    assert coupled["p"] == pytest.approx(1e-4)
    drift = controls.diagonal_test(controls.teacher_matrix(runs(0.0, 7, shared=0.5)))
    assert abs(drift["difference"]) < 0.05
    assert drift["p"] > 0.05
    assert (coupled["runs"], drift["runs"]) == (7, 7)


def test_two_runs_cannot_be_significant_and_one_has_no_test():
    pair = controls.diagonal_test(controls.teacher_matrix(runs(1.0, 2, 1)))
    assert 0.45 < pair["p"] < 0.55
    alone = controls.diagonal_test(controls.teacher_matrix(runs(1.0, 1)))
    assert np.isnan(alone["p"])


def test_preference_counts_divergent_items_that_one_side_wins():
    frame = runs(1.0, 1, 1, 300)
    moved = int((frame["cf"] == 1).sum())
    assert controls.decided_divergent(frame) == {
        "decided_self": 1.0,
        "decided": moved,
        "mcnemar_p": pytest.approx(2 * 0.5**moved),
    }
    half = controls.decided_divergent(runs(0.5, 4))
    assert half["decided_self"] == pytest.approx(0.5, abs=0.05)
    assert half["mcnemar_p"] > 0.05
    frame["cf"] = 0
    assert controls.decided_divergent(frame)["decided"] == 0
