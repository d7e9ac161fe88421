"""Preference: its value by hand, its null and symmetry, and the exact test."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import preference
from hypothesis import given, settings
from hypothesis import strategies as st

S = 0  # code of L(S): "stays at" choice 0; 2 and 4 are "stays at" choices 1 and 2


def frame_of(runs, m0_seed=0, condition="c", step=1):
    """Rows of runs, each given as (codes of L(M_t), codes of what explanations state); -1 is no label."""
    parts = []
    for seed, (own, said) in enumerate(runs):
        own, said = np.array(own), np.array(said)
        cf = np.where(own < 0, -1, own // 2)
        parts.append(
            pd.DataFrame(
                {
                    **{"condition": condition, "m0_seed": m0_seed, "step": step, "seed": seed},
                    "id": [f"i{k}" for k in range(len(own))],
                    **{"x": cf, "cf": cf, "target_x": S // 2, "target_cf": S // 2},
                    "valid": said >= 0,
                    "answer": np.where(said >= 0, said // 2, -1),
                    "changes": np.where(said >= 0, 0, -1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_preference_by_hand():
    """Items 0 and 1 are left by the first run alone, 2 by the second alone, 3 by both, 4 by none."""
    first = ([2, 2, S, 2, S], [2, S, S, 2, S])
    second = ([S, S, 4, 4, S], [S, 4, S, 2, S])
    pair = preference.by_pair(frame_of([first, second])).iloc[0]
    # Item 0: both say their own. Item 1: the first says S (the other's), the second says neither.
    assert (pair["first_half"], pair["first_items"]) == (pytest.approx(2 / 3), 2)
    # Item 2: the first says S, its own; the second says S, the other's.
    assert (pair["second_half"], pair["second_items"]) == (pytest.approx(1 / 2), 1)
    assert pair["preference"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (pair["both_items"], pair["both"]) == (1, pytest.approx(1 / 2))


def test_an_item_without_a_label_enters_no_pair():
    runs = [([2, S, -1], [2, S, 2]), ([S, 2, S], [S, 2, S])]
    pair = preference.by_pair(frame_of(runs)).iloc[0]
    assert (pair["first_items"], pair["second_items"], pair["preference"]) == (1, 1, 1.0)


def test_a_half_without_items_leaves_the_pair_out_and_silence_counts_as_one_half():
    alone = preference.by_pair(frame_of([([2, S], [2, S]), ([S, S], [S, S])])).iloc[0]
    assert np.isnan(alone["preference"])
    silent = preference.by_pair(frame_of([([2, S], [-1, -1]), ([S, 2], [-1, -1])])).iloc[0]
    assert silent["preference"] == 0.5


codes = st.lists(st.sampled_from([-1, S, 2, 4]), min_size=12, max_size=12)


@settings(max_examples=60, deadline=None)
@given(codes, codes, codes, codes)
def test_exchanging_the_explanations_turns_p_into_one_minus_p(own_a, own_b, said_a, said_b):
    straight = preference.by_pair(frame_of([(own_a, said_a), (own_b, said_b)])).iloc[0]
    crossed = preference.by_pair(frame_of([(own_a, said_b), (own_b, said_a)])).iloc[0]
    if np.isnan(straight["preference"]):
        assert np.isnan(crossed["preference"])
    else:
        assert straight["preference"] + crossed["preference"] == pytest.approx(1.0)


def guessing(rng, items, runs, drift, says_source, knows=0.0):
    """Runs whose explanations state L(S), or where one expects behaviour to go, each at a rate of its own.

    Args:
        rng: Random numbers.
        items: How many items.
        runs: How many runs.
        drift: How often each run leaves L(S).
        says_source: How often each run's explanations state L(S).
        knows: How often they state the run's own behaviour instead.
    """
    made = []
    for k in range(runs):
        own = np.where(rng.random(items) < drift[k], 2, S)
        said = np.where(rng.random(items) < says_source[k], S, rng.choice([2, 4], items))
        made.append((own, np.where(rng.random(items) < knows, own, said)))
    return made


def test_a_run_that_merely_imitates_better_gains_nothing():
    """The better imitator wins one half as clearly as it loses the other."""
    runs = guessing(np.random.default_rng(0), 40_000, 2, (0.1, 0.3), (0.95, 0.5))
    pair = preference.by_pair(frame_of(runs)).iloc[0]
    assert abs(pair["first_half"] - 0.5) > 0.05
    assert pair["preference"] == pytest.approx(0.5, abs=0.01)


def test_knowing_ones_own_behaviour_raises_it():
    runs = guessing(np.random.default_rng(0), 20_000, 2, (0.1, 0.2), (0.9, 0.8), knows=0.2)
    assert preference.by_pair(frame_of(runs)).iloc[0]["preference"] > 0.57


def knowing(m0s, runs, knows, items=600):
    """The units of some M0s whose explanations know their own behaviour to a degree."""
    found = []
    for m in range(m0s):
        rng = np.random.default_rng([3, m])
        made = guessing(rng, items, runs, np.full(runs, 0.2), np.full(runs, 0.7), knows)
        found += preference.units(frame_of(made, m)).values()
    return found


@pytest.mark.parametrize(("m0s", "runs", "ways"), [(5, 3, 7776), (1, 5, 120), (3, 2, 8)])
def test_all_ways_of_dealing_are_counted(m0s, runs, ways):
    found = preference.deal([knowing(m0s, runs, 0.6)])
    assert (found.ways, found.error) == (ways, 0.0)
    assert found.p == pytest.approx(1 / ways)  # no other way reaches what each run says of itself


def test_every_way_of_dealing_is_the_pairs_by_hand():
    """The observed order gives the observed preference, and exchanging two runs' rows gives its deal."""
    units = knowing(1, 3, 0.3)
    orders = np.array([[0, 1, 2], [1, 0, 2]])
    rng = np.random.default_rng([3, 0])
    made = guessing(rng, 600, 3, np.full(3, 0.2), np.full(3, 0.7), 0.3)
    said = [s for _, s in made]
    exchanged = [(made[k][0], said[order]) for k, order in enumerate(orders[1])]
    means = [preference.by_pair(frame_of(runs))["preference"].mean() for runs in (made, exchanged)]
    assert preference.of_deals(units[0], orders) == pytest.approx(means)


def test_random_deals_agree_with_all_ways_and_say_their_error():
    units = knowing(4, 3, 0.03)
    exact, drawn = preference.deal([units]), preference.deal([units], ways=10, deals=9999)
    assert exact.error == 0
    assert drawn.error > 0
    assert abs(drawn.p - exact.p) < 4 * drawn.error + 1e-4
    assert drawn.preference == exact.preference


def test_tasks_count_alike_and_are_dealt_apart():
    strong, weak = knowing(5, 2, 0.6), knowing(1, 2, 0.0)
    both = preference.deal([strong, weak])
    assert both.preference == pytest.approx(
        (preference.deal([strong]).preference + preference.deal([weak]).preference) / 2
    )
    assert both.ways == 64
    (alone,) = preference.units(frame_of([([2, S], [2, S]), ([S, S], [S, S])])).values()
    assert preference.deal([strong, [alone]]).preference == preference.deal([strong]).preference
    nothing = preference.deal([[], []])
    assert np.isnan(nothing.preference)
    assert np.isnan(nothing.p)


def test_without_knowledge_p_is_uniform_however_runs_drift_and_imitate():
    below = []
    for trial in range(150):
        rng = np.random.default_rng([7, trial])
        units = []
        for m in range(3):
            made = guessing(rng, 300, 3, rng.uniform(0.05, 0.4, 3), rng.uniform(0.4, 0.95, 3))
            units += preference.units(frame_of(made, m)).values()
        below.append(preference.deal([units]).p)
    assert np.mean(np.array(below) < 0.05) <= 0.08
    assert np.mean(below) == pytest.approx(0.5, abs=0.08)


def test_the_jackknife_keeps_the_mean_over_pairs():
    pairs = preference.by_pair(
        frame_of(guessing(np.random.default_rng(1), 400, 4, [0.2] * 4, [0.7] * 4, 0.2))
    )
    values = preference.over_explainers(pairs)
    assert len(values) == 4
    assert values.mean() == pytest.approx(pairs["preference"].mean())
    assert not len(preference.over_explainers(pairs[:1]))
