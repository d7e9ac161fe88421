"""Measures of items against their definitions."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import measures
from coupling.measure.explanations import labels
from made_rows import choosing, frame_of


@pytest.fixture
def four(items):
    return items[1][:4]


def test_excess_gap_is_its_definition(four):
    rng = np.random.default_rng(0)
    then = ([0, 0, 0, 0], [0, 1, 2, 3])
    runs = []
    for seed in range(3):
        now = (rng.integers(0, 4, 4), rng.integers(0, 4, 4))
        said = labels(four, choosing(four, rng.integers(0, 4, 4), rng.integers(0, 4, 4)), "letter")
        runs.append((0, seed, said, now, then))
    frame = measures.with_measures(frame_of(four, runs))
    target = labels(four, choosing(four, *then), "letter")
    for _, seed, said, now, _ in runs:
        mine = labels(four, choosing(four, *now), "letter")
        gap = [float(e == m) - float(e == t) for e, m, t in zip(said, mine, target, strict=True)]
        null = np.mean(
            [
                [float(e == m) - float(e == t) for e, m, t in zip(other, mine, target, strict=True)]
                for _, s, other, *_ in runs
                if s != seed
            ],
            axis=0,
        )
        assert np.allclose(frame[frame["seed"] == seed]["excess"], np.array(gap) - null)


def test_shared_drift_gives_a_gap_but_no_excess(four):
    """All runs drift the same way and all explanations say so: any of them would do for any other."""
    now, then = ([0] * 4, [1] * 4), ([0] * 4, [0] * 4)
    frame = measures.with_measures(
        frame_of(four, [(0, s, ["changes to B"] * 4, now, then) for s in range(2)])
    )
    assert (frame["gap"] == 1).all()
    assert (frame["excess"] == 0).all()
    assert (frame["others_div"] == 1).all()


def test_a_run_alone_has_no_excess(four):
    frame = measures.with_measures(
        frame_of(four, [(0, 0, ["stays at A"] * 4, ([0] * 4, [0] * 4), ([0] * 4, [0] * 4))])
    )
    assert frame["excess"].isna().all()


def test_across_conditions_a_run_is_compared_with_other_conditions_of_its_m0_and_seed(four):
    """Runs b say what b does. Those of condition a keep to L(S), which is what the excess gap of b counts."""
    then, moved = ([0] * 4, [0] * 4), ([0] * 4, [1] * 4)
    kept = frame_of(four, [(0, s, ["stays at A"] * 4, then, then) for s in range(2)]).assign(condition="a")
    follows = frame_of(four, [(0, s, ["changes to B"] * 4, moved, then) for s in range(2)])
    follows = follows.assign(condition="b", step=9)
    both = pd.concat([kept, follows], ignore_index=True)
    found = measures.with_measures_across_conditions(both)
    assert found[["condition", "seed", "step"]].equals(both[["condition", "seed", "step"]])
    assert found.groupby("condition")["excess"].unique().map(list).to_dict() == {"a": [0.0], "b": [2.0]}
    assert (
        measures.with_measures(both)["excess"] == 0
    ).all()  # among explainers of one condition nothing differs


def test_no_explanation_matches_where_a_reply_is_none_of_the_choices(four):
    frame = frame_of(four, [(0, 0, ["?"] * 4, ([0] * 4, [0] * 4), ([0] * 4, [0] * 4))])
    frame = frame.assign(x=[-1, 0, 0, 0])
    assert measures.label_code(frame, "").tolist() == [-2, 0, 0, 0]
    assert measures.stated_code(frame).tolist() == [-1] * 4


def test_an_item_without_a_label_is_no_unfaithful_explanation(four):
    frame = frame_of(four, [(0, 0, ["stays at A"] * 4, ([0] * 4, [0] * 4), ([0] * 4, [0] * 4))])
    frame = frame.assign(x=[-1, 0, 0, 0])
    frame["self"] = [False, True, True, True]
    found = measures.with_measures(frame)
    assert found["no_label"].tolist() == [True, False, False, False]
    for name in ("self", "gap", "agreement", "divergent", "self_content", "self_flag"):
        assert found[name].isna().tolist() == [True, False, False, False], name
    assert found["self"].mean() == 1.0
    assert found["target"].mean() == 1.0


def test_answer_and_flag_are_taken_apart(four):
    """M_t changes to B everywhere, S stays at A, changes to B, stays at B, changes to A."""
    said = ["changes to B", "stays at B", "changes to C", "?"]
    now, then = ([0] * 4, [1] * 4), ([0, 0, 1, 1], [0, 1, 1, 0])
    found = measures.with_measures(frame_of(four, [(0, 0, said, now, then)]))
    assert found["self_content"].tolist() == [1, 1, 0, 0]
    assert found["target_content"].tolist() == [0, 1, 0, 0]
    assert found["self_flag"].tolist() == [1, 0, 1, 0]
    assert found["target_flag"].tolist() == [0, 0, 0, 0]
    assert found["gap_content"].tolist() == [1, 0, 0, 0]
    assert found["gap_flag"].tolist() == [1, 0, 1, 0]
    assert found["self_changes"].tolist() == [1, 0, 0, 0]
    assert found["self_stays"].isna().all()
    assert found["target_stays"].isna().tolist() == [False, True, False, True]
    assert found["target_changes"].isna().tolist() == [True, False, True, False]
