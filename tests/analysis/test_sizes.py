"""Growth with size: its rule, the search of a setting for each size, and the figure, on made-up runs."""

import geometry
import numpy as np
import pandas as pd
import pytest
from coupling.analysis import measures, regime, resampling, size_setting, summaries, tables
from coupling.analysis.claims import Evidence, NotMeasuredError, Ref
from coupling.analysis.claims.rules.sizes import grows
from coupling.models.organism import SHAPES, make_model
from coupling.report.figures import size, style
from coupling.sweep import read_sweep
from made_couplings import study
from scipy import stats

SIZES = {"1 million": "organism", "4 million": "organism-4m", "16 million": "organism-16m"}
WEIGHTS = dict(zip(SIZES.values(), (1e6, 4e6, 16e6), strict=True))
REFS = {
    name: Ref("size", condition) for name, condition in zip(("small", "middle", "large"), SIZES, strict=True)
}


def studied(*preferences, m0s=3, arm=""):
    """Final rows of the three sizes, each with a mean preference."""
    parts = [
        study(k, preference, m0s).assign(condition=f"{name}{arm}")
        for k, (name, preference) in enumerate(zip(SIZES, preferences, strict=True))
    ]
    return pd.concat(parts, ignore_index=True)


def made(items):
    """The tables of such a study."""
    runs = summaries.per_run(measures.with_measures(items)).assign(task="aita")
    base = pd.DataFrame(
        {"model": list(WEIGHTS), "parameters": WEIGHTS.values(), "task": "aita", "m0_seed": 0}
    )
    empty = dict.fromkeys(tables.Tables.__dataclass_fields__)
    return tables.Tables(**(empty | {"items": items, "runs": runs, "base": base}))


def found(items, **arguments):
    return grows(Evidence("small", lambda profile, sweep: made(items)), "aita", **(REFS | arguments))


def test_a_slope_is_that_of_least_squares_with_its_t_interval():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=9), rng.normal(size=9)
    wanted = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, 7) * wanted.stderr
    expected = (wanted.slope, wanted.slope - reach, wanted.slope + reach, wanted.pvalue)
    assert resampling.slope_interval(x, y) == pytest.approx(expected)
    assert resampling.slope_interval(x, 2 * x)[:3] == pytest.approx((2, 2, 2))
    assert np.isnan(resampling.slope_interval(x[:2], y[:2])).all()
    assert np.isnan(resampling.slope_interval(np.ones(4), y[:4])).all()


def test_growth_is_what_the_line_over_log_weights_rises_by():
    grown = found(studied(0.6, 0.7, 0.8)).effect
    assert grown.value == pytest.approx(0.2, abs=0.06)
    assert grown.above
    assert (grown.seeds, grown.unit, grown.matters) == (9, "M0s", 0.05)
    level = found(studied(0.7, 0.7, 0.7)).effect
    assert not level.above
    assert level.low < 0 < level.high
    shrunk = found(studied(0.95, 0.85, 0.75))
    assert shrunk.effect.high < 0
    assert shrunk.controls == {
        "no collapsed run at any size": True,
        "preference above one half at 16 million": True,
    }


def test_a_largest_model_without_coupling_and_a_collapsed_run_fail_their_controls():
    items = studied(0.8, 0.65, 0.5)
    tables_of = made(items)
    tables_of.runs["collapsed"] = np.where(tables_of.runs["condition"] == "4 million", "one label", "")
    controls = grows(Evidence("small", lambda *_: tables_of), "aita", **REFS).controls
    assert controls == {
        "no collapsed run at any size": False,
        "preference above one half at 16 million": False,
    }


def test_the_gap_has_its_own_margin_and_kinds_without_labels_need_some():
    gap = found(studied(0.6, 0.7, 0.8), measure="gap")
    assert gap.effect.matters == 0.02
    assert gap.effect.value > 0
    with pytest.raises(NotMeasuredError, match="all kinds of aita have labels"):
        found(studied(0.6, 0.7, 0.8), kinds="held out")


def test_the_sizes_of_the_sweep_are_models_that_differ_in_size_alone():
    plan = size.sizes("small", read_sweep("size"))
    assert list(plan) == ["1 million", "4 million", "4 million, deep", "16 million"]
    counts = {
        name: sum(p.numel() for p in make_model(model, 300, 0).parameters()) for name, model in plan.items()
    }
    for name, count in counts.items():
        assert count == pytest.approx(int(name.split()[0]) * 1e6, rel=0.12)
    for model in plan.values():
        shape = {"num_attention_heads": 4} | SHAPES[model][2]
        assert shape["hidden_size"] == 32 * shape["num_attention_heads"]
        assert shape["intermediate_size"] == 3 * shape["hidden_size"]


STEPS = (0, 300, 600)
GOOD = {
    "self": 0.9,
    "target": 0.85,
    "agreement": 0.9,
    "flag_balanced": 0.9,
    "divergent": 0.3,
    "collapsed": "",
}


def searched(**settings):
    """The table of runs of the search, with what some settings have in place of GOOD at the last step."""
    rows = []
    for condition in read_sweep("size_setting").conditions:
        for step in STEPS:
            about = {"condition": condition, "task": "hint_qa", "m0_seed": 5, "step": step}
            rows.append(about | GOOD | (settings.get(condition, {}) if step == STEPS[-1] else {}))
    return pd.DataFrame(rows)


def test_each_model_has_the_setting_that_the_rule_of_the_regime_gives_it():
    near, nearest = {"divergent": 0.2}, {"divergent": 0.12}
    runs = searched(**{"organism-4m, 128, 0.0005": near, "organism-16m, 384, 0.00033": nearest})
    chosen = {model: size_setting.choose(cells) for model, cells in size_setting.by_model(runs).items()}
    assert {model: name for model, (name, _) in chosen.items()} == {
        "organism": "organism, 128, 0.0005",  # equals: the lower rate
        "organism-4m": "organism-4m, 128, 0.0005",
        "organism-4m-deep": "organism-4m-deep, 128, 0.0005",
        "organism-16m": "organism-16m, 384, 0.00033",
    }
    assert {limits for _, limits in chosen.values()} == {regime.LADDER[0]}


def test_labels_count_as_lost_against_the_setting_of_the_same_model_that_learns_most():
    runs = searched(
        **{
            "organism-4m, 128, 0.0005": {"target": 0.81, "divergent": 0.1},
            "organism, 128, 0.001": {"target": 0.99},
        }
    )
    cells = size_setting.by_model(runs)
    lost = cells["organism-4m"].set_index("condition")["lost"]
    assert lost["organism-4m, 128, 0.0005"] == pytest.approx(0.04)
    assert size_setting.choose(cells["organism-4m"])[0] == "organism-4m, 224, 0.00057"


def drawn(preferences, real=False):
    """The figure of two tasks at these preferences by size, with labels on half of the kinds at the first."""
    names = {name: "organism" for name in preferences}
    ends = {"gap": 0.02, "gap_low": 0.01, "gap_high": 0.03}
    about = {"seeds": 3, "runs": 9, "flag_not_learnt": 3}
    rows, runs = [], []
    for task in ("hint_qa", "refusal"):
        for name, value in preferences.items():
            interval = {"preference": value, "preference_low": value - 0.1, "preference_high": value + 0.1}
            rows.append({"task": task, "condition": name} | ends | about | interval)
            for m0_seed in range(3):
                of_run = {"divergent": 0.1, "flag_balanced": 0.9 - m0_seed / 50, "self_content": 0.95}
                run = {"task": task, "condition": name, "m0_seed": m0_seed, "seed": 0, "step": 600}
                runs.append(run | of_run)
    summary = pd.DataFrame(rows)
    regions = summary.assign(condition=summary["condition"] + ", half", region="held out").head(1)
    every = dict.fromkeys(tables.Tables.__dataclass_fields__) | {
        "summary": summary,
        "runs": pd.DataFrame(runs),
        "regions": regions,
        "items": pd.DataFrame({"task": [], "condition": []}),
        "base": pd.DataFrame({"model": ["organism"], "parameters": [1.5e9]}),
    }
    data = tables.Tables(**every)
    with style.styled():
        return size.draw(data, names, data if real else None)


def test_the_figure_says_the_preference_at_each_size_and_leaves_out_arms_that_are_not_there():
    figure = drawn({"1 million": 0.6, "16 million": 0.75})
    assert figure.alt == (
        "Preference for own behaviour by number of weights: 0.60 at 1 million, 0.75 at 16 million"
    )
    first, second = figure.axes[0], figure.axes[5]
    assert len(first.containers) == 3  # two sizes, and one arm of half of the kinds
    assert len(second.containers) == 2
    assert not figure.axes[4].containers  # no facts were taught anew


def test_the_figure_of_all_sizes_beside_a_real_model_can_be_read():
    names = ["1 million", "4 million", "4 million, deep", "16 million"]
    figure = drawn(dict.fromkeys(names, 0.6), real=True)
    assert len(figure.axes) == 3 * 5
    found = geometry.boxes(figure)
    assert geometry.overlapping(found) == []
    assert geometry.outside(figure, found) == []
