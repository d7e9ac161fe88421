"""Intervals: t over M0s and runs, the bootstrap, what they cover, and what they take as independent."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import resampling
from scipy import stats


def synthetic(m0_seeds, groups, effect, spread):
    rng = np.random.default_rng(1)
    shift = rng.normal(effect, spread, m0_seeds)
    return pd.DataFrame(
        [
            {"m0_seed": m, "seed": 0, "group": g, "v": shift[m] + rng.normal(0, 0.1)}
            for m in range(m0_seeds)
            for g in range(groups)
        ]
    )


def test_intervals_hold_the_mean_and_grow_with_the_spread_between_m0_seeds():
    near, far = (resampling.intervals(synthetic(5, 40, 1.0, s), ["v"]).loc["v"] for s in (0.0, 0.5))
    for row in (near, far):
        assert row["low"] < row["mean"] < row["high"]
    assert far["high"] - far["low"] > 5 * (near["high"] - near["low"])
    assert resampling.intervals(synthetic(5, 40, 1.0, 0.5), ["v"]).equals(
        resampling.intervals(synthetic(5, 40, 1.0, 0.5), ["v"])
    )


def test_intervals_take_explainer_seeds_where_there_is_one_m0():
    frame = synthetic(3, 20, 0.0, 1.0).rename(columns={"m0_seed": "seed", "seed": "m0_seed"})
    row = resampling.intervals(frame, ["v"]).loc["v"]
    assert row["high"] - row["low"] > 0.3
    assert resampling.intervals(frame.assign(v=np.nan), ["v"]).isna().all(axis=None)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        a, b = rng.normal(0, 1, 20), rng.normal(0, 1, 30)
        frame = pd.DataFrame(
            [{"m0_seed": i, "seed": 0, "group": j, "v": a[i] + b[j]} for i in range(20) for j in range(30)]
        )
        row = resampling.intervals(frame, ["v"]).loc["v"]
        hits += row["low"] <= 0 <= row["high"]
    assert 48 <= hits <= 60


def test_runs_of_an_m0_are_averaged_before_the_interval_over_m0s():
    frame = pd.DataFrame(
        {"m0_seed": [0, 0, 0, 1, 2], "seed": [0, 0, 1, 0, 0], "v": [0.0, 0.2, 0.5, 0.6, 0.9]}
    )
    means = [0.3, 0.6, 0.9]  # of M0 0 that of 0.1 and 0.5
    found = resampling.intervals(frame, ["v"]).loc["v"]
    assert found["mean"] == pytest.approx(0.6)
    assert (found["low"], found["high"]) == pytest.approx(stats.t.interval(0.95, 2, 0.6, stats.sem(means)))
    one_m0 = resampling.intervals(frame[frame["m0_seed"] == 0], ["v"]).loc["v"]
    assert (one_m0["low"], one_m0["high"]) == pytest.approx(
        stats.t.interval(0.95, 1, 0.3, stats.sem([0.1, 0.5]))
    )
    assert resampling.intervals(frame[:2], ["v"])[["low", "high"]].isna().all(axis=None)  # one run, no groups


def test_frames_with_the_same_seeds_and_groups_are_drawn_alike():
    frame = synthetic(5, 40, 1.0, 0.5)
    one = resampling.resampled(frame, ["v"])["v"]
    other = resampling.resampled(frame.assign(v=frame["v"] + 1).sample(frac=1, random_state=0), ["v"])["v"]
    assert one.shape == (resampling.RESAMPLES,)
    assert np.allclose(other - one, 1)


def test_rows_without_a_number_are_left_out_of_their_column():
    frame = synthetic(3, 10, 1.0, 0.0).assign(w=2.0)
    holes = frame.assign(w=frame["w"].where(frame["group"] < 5, np.inf))
    drawn = resampling.resampled(holes, ["v", "w"], 200)
    assert np.array_equal(drawn["v"], resampling.resampled(frame, ["v"], 200)["v"])
    assert np.allclose(drawn["w"][np.isfinite(drawn["w"])], 2)
    assert resampling.intervals(holes, ["w"]).loc["w"].tolist() == [2.0, 2.0, 2.0]


def test_intervals_laid_side_by_side():
    table = resampling.intervals(synthetic(3, 10, 1.0, 0.0).assign(w=2.0), ["v", "w"])
    assert list(resampling.flattened(table, ["w", "v"])) == ["w", "w_low", "w_high", "v", "v_low", "v_high"]
    assert resampling.flattened(table, ["w"], mean="_mean") == {"w_mean": 2.0, "w_low": 2.0, "w_high": 2.0}


def test_t_intervals_are_those_of_scipy_and_say_where_they_are_none():
    values = np.array([0.1, 0.3, 0.2, np.nan, 0.4, 0.25])
    known = values[np.isfinite(values)]
    low, high, p = resampling.t_interval(values, null=0.1)
    test = stats.ttest_1samp(known, 0.1)
    assert (low, high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert p == pytest.approx(test.pvalue)
    assert np.isnan(resampling.t_interval(np.array([0.3]))).all()
    assert resampling.t_interval(np.array([0.3, 0.3]), null=0.3) == (0.3, 0.3, 1.0)
    assert resampling.t_interval(np.array([0.3, 0.3])) == (0.3, 0.3, 0.0)


def coverage(clusters, trials=400):
    """How often 95 % intervals over clusters hold the true mean 0: of t, and of the bootstrap."""
    rng = np.random.default_rng(clusters)
    held = np.zeros(2)
    for _ in range(trials):
        values = rng.normal(size=clusters)
        frame = pd.DataFrame({"m0_seed": range(clusters), "seed": 0, "group": 0, "v": values})
        low, high, _ = resampling.t_interval(values)
        drawn = resampling.interval(resampling.resampled(frame, ["v"], resamples=999)["v"])
        held += [low <= 0 <= high, drawn[0] <= 0 <= drawn[1]]
    return held / trials


@pytest.mark.parametrize(("clusters", "of_bootstrap"), [(5, (0.75, 0.9)), (3, (0.55, 0.85))])
def test_t_intervals_cover_what_they_say_and_bootstrap_intervals_of_few_clusters_do_not(
    clusters, of_bootstrap
):
    """Of five clusters a percentile bootstrap covers about 0.83 where 0.95 is said, of three about 0.7."""
    t, bootstrap = coverage(clusters)
    assert t == pytest.approx(0.95, abs=0.025)
    assert of_bootstrap[0] < bootstrap < of_bootstrap[1]
