"""What explanations state on divergent items, against counts by hand."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import divergent, measures
from coupling.analysis.resampling import t_interval
from made_rows import frame_of
from made_shifts import shift_study

SAME, THEN = ["stays at A"] * 4, ([0] * 4, [0] * 4)
OWN = (["changes to B", *SAME[1:]], ([0] * 4, [1, 0, 0, 0]))  # leaves L(S) on one item, and says so
KEEPS = (SAME, ([0] * 4, [1, 1, 0, 0]))  # leaves it on two items, and states L(S)


def summary(items, *runs):
    """The one row of runs that are given as (m0_seed, seed, what it says, how it behaves)."""
    frame = frame_of(items[1][:4], [(m0, seed, *run, THEN) for m0, seed, run in runs])
    return divergent.summarise(measures.with_measures(frame)).iloc[0]


def test_shares_are_means_over_runs_of_what_each_states_where_it_left_its_labels(items):
    row = summary(items, (0, 0, OWN), (0, 1, KEEPS))
    assert (row["m0s"], row["runs"], row["divergent"]) == (1, 2, 1.5)
    assert (row["self"], row["target"]) == (0.5, 0.5)
    # OWN says what KEEPS does on one of its two items; KEEPS says nothing of what OWN does.
    assert row["others"] == 0.25
    assert row["beyond_others"] == np.mean([1 - 0, 0 - 0.5])
    assert row["beyond_target"] == np.mean([1 - 0, 0 - 1])
    low, high, _ = t_interval(np.array([1.0, 0.0]))
    assert (row["self_low"], row["self_high"]) == (low, high)  # over the explainers of the one M0


def test_with_several_m0s_each_counts_once_and_one_explainer_has_no_others(items):
    row = summary(items, (0, 0, OWN), (0, 1, KEEPS), (1, 0, OWN))
    low, high, _ = t_interval(np.array([0.5, 1.0]))
    assert (row["self"], row["self_low"], row["self_high"]) == (0.75, low, high)
    assert row["others"] == 0.25
    assert np.isnan(row["others_low"])
    alone = summary(items, (0, 0, OWN), (1, 0, OWN))
    assert np.isnan([alone["others"], alone["beyond_others"]]).all()
    assert alone["self_low"] == alone["self_high"] == 1


@pytest.mark.parametrize(("follow", "own", "others"), [(True, 1.0, 0.0), (False, 0.0, 0.0)])
def test_of_a_shift_the_others_are_runs_that_were_not_pushed_or_the_other_way(follow, own, others):
    study = pd.concat([shift_study(follow, m0_seed) for m0_seed in (0, 1)], ignore_index=True)
    found = divergent.of_items(study).set_index("condition")
    assert list(found.index) == ["none", "down, 1", "up, 1"]
    assert set(found["task"]) == {"aita"}
    assert np.isnan(found.loc["none", "self"])  # nothing diverges
    for condition in ("down, 1", "up, 1"):
        assert (found.loc[condition, "self"], found.loc[condition, "others"]) == (own, others)
