import numpy as np
import pandas as pd
import pytest
from coupling.analysis import measures, resampling
from coupling.measure.behaviours import Behaviours
from coupling.measure.explanations import labels
from coupling.measure.rows import score


def choosing(items, x, cf):
    """Behaviours whose most likely choices are x and cf."""

    def logp(choice):
        p = np.full((len(items), 4), 0.1, np.float32)
        p[np.arange(len(items)), choice] = 0.6
        return np.log(p)

    return Behaviours(tuple(i.id for i in items), logp(x), logp(cf))


def make_rows(items, said, now, then):
    source = choosing(items, *then)
    return score(items, said, "letter", choosing(items, *now), source, source, 7)


@pytest.fixture
def four(items):
    return items[1][:4]


def test_rows_by_hand(four):
    rows = make_rows(
        four,
        ["stays at A", "changes to B", "changes to B ", "who knows"],
        ([0, 0, 0, 0], [0, 1, 2, 3]),
        ([0, 0, 0, 0], [0, 0, 1, 3]),
    )
    assert rows["self"].tolist() == [True, True, False, False]
    assert rows["target"].tolist() == [True, False, True, False]
    assert rows["target"].equals(rows["base"])
    assert rows["valid"].tolist() == [True, True, True, False]
    assert rows["answer"].tolist() == [0, 1, 1, -1]
    assert rows["self_content"].tolist() == [True, True, False, False]
    assert np.allclose(rows["kl_cf"][[0, 3]], 0, atol=1e-6)
    assert (rows["kl_cf"][[1, 2]] > 0.5).all()


def test_content_matches_where_the_wording_of_the_change_does_not(four):
    rows = make_rows(four, ["changes to A"] * 4, ([0] * 4, [0] * 4), ([0] * 4, [0] * 4))
    assert not rows["self"].any()
    assert rows["self_content"].all()


def test_behaviours_of_other_items_are_refused(four, items):
    other = choosing(items[1][4:8], [0] * 4, [0] * 4)
    with pytest.raises(ValueError, match="same items"):
        score(four, ["x"] * 4, "letter", other, other, other, 0)


def frame_of(four, runs):
    """Rows of runs of one condition: (m0_seed, seed, said, now, then)."""
    parts = [
        make_rows(four, said, now, then).assign(condition="c", m0_seed=m, seed=s)
        for m, s, said, now, then in runs
    ]
    return pd.concat(parts, ignore_index=True)


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
    table = measures.summarise(frame)
    assert np.isnan(table.loc[0, "excess"])
    assert table.loc[0, ["self", "agreement", "divergent_share"]].tolist() == [1.0, 1.0, 0.0]


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


def test_baselines_by_hand(four):
    frame = make_rows(four, ["stays at A"] * 4, ([0, 0, 0, 1], [0, 0, 1, 1]), ([1] * 4, [1] * 4))
    base = measures.baselines(frame)
    assert base["best_constant"] == 0.5
    assert base["majority"] == 0.25  # "stays at B" is M0's every label, and the fourth item's current one
    assert base["gold"] == np.mean([c == i.gold for c, i in zip([0, 0, 1, 1], four, strict=True)])


@pytest.mark.parametrize(
    ("said", "now", "reason"),
    [
        (["?"] * 4, ([0, 1, 2, 3], [1, 2, 3, 0]), "no labels"),
        (["stays at A"] * 4, ([0, 1, 2, 3], [1, 2, 3, 0]), "one explanation"),
        (["changes to A", "stays at B", "stays at C", "stays at D"], ([0] * 4, [0] * 4), "one choice"),
        (["changes to A", "stays at B", "stays at C", "stays at D"], ([0, 1, 2, 3], [1, 2, 3, 0]), ""),
    ],
)
def test_collapsed_runs_are_flagged(four, said, now, reason):
    found = measures.collapse(make_rows(four, said, now, ([0, 1, 2, 3], [0, 1, 2, 3])))
    assert (reason in found) if reason else found == ""


def test_lead_and_lag_by_hand(four):
    then = ([0] * 4, [0] * 4)
    a = make_rows(four, ["changes to B"] * 4, ([0] * 4, [0, 0, 0, 1]), then).assign(step=0)
    b = make_rows(
        four, ["changes to B", "stays at A", "stays at A", "changes to B"], ([0] * 4, [1, 0, 0, 1]), then
    ).assign(step=1)
    row = measures.lead_lag(
        pd.concat([a, b], ignore_index=True).assign(condition="c", m0_seed=0, seed=0)
    ).iloc[0]
    assert row["items"] == 3  # the fourth explanation was right already
    assert row["behaviour_follows"] == pytest.approx(1 / 3)
    assert row["explanation_follows"] == pytest.approx(2 / 3)


def test_lead_and_lag_on_divergent_items_by_hand(four):
    then = ([0] * 4, [0] * 4)
    # all four changed; two explanations keep to L(S), one says what is done, one says a third thing
    a = make_rows(
        four, ["stays at A", "stays at A", "changes to B", "changes to C"], ([0] * 4, [1] * 4), then
    ).assign(step=0)
    b = make_rows(
        four, ["changes to B", "stays at A", "changes to B", "changes to B"], ([0] * 4, [1, 0, 0, 2]), then
    ).assign(step=1)
    row = measures.lead_lag(
        pd.concat([a, b], ignore_index=True).assign(condition="c", m0_seed=0, seed=0)
    ).iloc[0]
    assert (row["items"], row["items_divergent"]) == (3, 3)
    assert row["explanation_follows_divergent"] == pytest.approx(2 / 3)
    assert row["behaviour_follows_divergent"] == pytest.approx(2 / 3)
    assert (row["returns_said"], row["returns_unsaid"]) == (0.5, 1.0)
