"""Bootstrap intervals: what they cover, and what they take as independent."""

import numpy as np
import pandas as pd
from coupling.analysis import resampling


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
