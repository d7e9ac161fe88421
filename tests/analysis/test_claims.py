import json

import numpy as np
import pandas as pd
import pytest
from coupling import cli, files
from coupling.analysis import claims, tables
from coupling.analysis.claims import Claim, evidence, trained
from coupling.analysis.claims.evidence import Effect, Finding
from coupling.analysis.depth import with_depth
from coupling.report import figures
from coupling.spec import make_spec
from coupling.tasks import load_world, main_tasks
from typer.testing import CliRunner

GOOD = {"effect": Effect(0.02, 0.01, 0.03, 0.001, 5), "controls": {"a": True, "b": True}}


def decided(monkeypatch, *findings):
    """The table of claims, were these the findings."""
    monkeypatch.setattr(tables, "collected", lambda: [("tiny", "headline")])
    monkeypatch.setattr(
        claims,
        "_claims",
        lambda: [
            Claim(str(k), "text", "hint_qa", (lambda _, f=f: f) if f else None)
            for k, f in enumerate(findings)
        ],
    )
    return claims.table()


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "replicated"),
        ({"effect": Effect(0.02, 0.01, 0.03, 0.001, 4)}, "inconclusive"),  # too few M0 seeds
        ({"effect": Effect(-0.02, -0.03, -0.01, 0.001, 4)}, "inconclusive"),
        ({"controls": {"a": True, "b": False}}, "inconclusive"),
        ({"controls": {}}, "inconclusive"),  # an effect without a control decides nothing
        ({"effect": Effect(0.02, -0.01, 0.03, 0.2, 5)}, "inconclusive"),
        ({"effect": Effect(0.02, 0.01, 0.03, 0.06, 5)}, "inconclusive"),
        ({"effect": Effect(-0.02, -0.03, 0.0, 0.001, 5)}, "not replicated"),
        ({"effect": Effect(-0.02, -0.03, -0.01, 0.001, 5), "controls": {"a": False}}, "not replicated"),
        ({"effect": Effect(-0.01, -0.015, 0.0, 0.001, 5, null=-0.02)}, "replicated"),
        ({"effect": Effect(0.65, 0.56, 0.74, float("nan"), 5), "within": (0.55, 0.75)}, "replicated"),
        ({"effect": Effect(0.65, 0.5, 0.74, float("nan"), 5), "within": (0.55, 0.75)}, "inconclusive"),
        ({"effect": Effect(0.9, 0.8, 0.95, float("nan"), 5), "within": (0.55, 0.75)}, "not replicated"),
        (
            {"effect": Effect(0.02, 0.01, 0.03, 0.001, 3, seeds_above=3, unit="explainers")},
            "replicated",
        ),  # of a model that is taken as it is
        ({"effect": Effect(0.02, 0.01, 0.03, 0.001, 3, seeds_above=2, unit="explainers")}, "inconclusive"),
        ({"effect": Effect(0.02, 0.01, 0.03, 0.001, 2, seeds_above=2, unit="explainers")}, "inconclusive"),
        ({"controls": {"a": True, "b": None}}, "inconclusive"),  # one that was not run
        ({"tests": {"t": (0.001, True)}}, "replicated"),
        ({"tests": {"t": (0.001, False)}}, "inconclusive"),
        ({"tests": {"t": (0.2, True)}}, "inconclusive"),
    ],
)
def test_a_verdict_follows_its_rule(monkeypatch, change, verdict):
    assert decided(monkeypatch, Finding(**{"measure": "m", **GOOD, **change}))["verdict"].tolist() == [
        verdict
    ]


def test_p_values_are_corrected_over_the_whole_table(monkeypatch):
    weak = Finding("m", Effect(0.02, 0.01, 0.03, 0.02, 5), {"a": True})
    assert decided(monkeypatch, weak)["verdict"].tolist() == ["replicated"]
    three = decided(monkeypatch, weak, weak, Finding("m", **GOOD, tests={"t": (0.04, True)}))
    assert three["p"].tolist() == pytest.approx([0.06, 0.06, 0.004])
    assert (
        three["verdict"].tolist() == ["inconclusive"] * 3
    )  # the test of the third: 0.04 is 0.06 once the family is counted
    late = Finding("m", Effect(0.02, 0.01, 0.03, 0.02, 5), {"a": True})
    monkeypatch.setattr(
        claims,
        "_claims",
        lambda: [Claim("1", t, "hint_qa", lambda _: late) for t in ("planned", "added (post hoc)")],
    )
    assert claims.table()["p"].tolist() == pytest.approx(
        [0.02, 0.04]
    )  # what was added later leaves the plan's alone
    assert claims.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert claims.holm([0.6, 0.7]) == [1.0, 1.0]


def test_what_nothing_tests_is_not_tested_and_what_has_no_table_too(monkeypatch):
    row = decided(monkeypatch, None).iloc[0]
    assert (row["verdict"], row["seeds"], row["controls"]) == ("not tested", 0, [])
    monkeypatch.undo()


def test_what_is_tested_at_one_size_is_not_listed_as_untested_at_another(monkeypatch):
    monkeypatch.setattr(claims.tables, "collected", lambda: [("tiny", "headline"), ("medium", "headline")])
    found = Finding("m", **GOOD)
    monkeypatch.setattr(
        claims,
        "_claims",
        lambda: [Claim("1", "t", "mmlu", lambda e: found if e.profile == "medium" else None)],
    )
    assert claims.table()[["profile", "verdict"]].values.tolist() == [["medium", "replicated"]]


def test_without_any_table_no_claim_is_tested():
    rows = claims.table()
    assert set(rows["verdict"]) == {"not tested"}
    assert set(rows["claim"]) == {*map(str, range(1, 12)), "own"}


@pytest.mark.parametrize(
    ("gap", "where"),
    [
        ([-0.2, -0.1, 0.1], 0.75),
        ([-0.2, 0.2, 0.1], 0.4),
        ([0.1, 0.2, 0.3], 0.3),
        ([-0.1, -0.2, -0.3], 1.0),
        ([-0.1, 0.1, -0.1], 1.0),
        ([0.1, -0.1, 0.1], 0.75),
    ],
)
def test_the_onset_is_the_last_crossing(gap, where):
    assert trained.crossing(np.array([0.3, 0.5, 1.0]), np.array(gap)) == pytest.approx(where)


def rows(value, seeds=(0,), m0s=5, items=30):
    index = [(m, s, f"i{k}", f"g{k // 3}") for m in range(m0s) for s in seeds for k in range(items)]
    frame = pd.DataFrame(index, columns=["m0_seed", "seed", "id", "group"])
    return frame.assign(v=[value(m, s, int(i[1:])) for m, s, i, _ in index])


def test_effects_have_p_that_mean_what_they_say():
    sure = evidence.effect_of(rows(lambda m, s, i: 0.1 + 0.01 * m), "v")
    assert (sure.value, sure.seeds, sure.above) == (pytest.approx(0.12), 5, True)
    assert sure.p == pytest.approx(2 / (1 + evidence.RESAMPLES))
    noise = evidence.effect_of(rows(lambda m, s, i: (-1) ** (m + i)), "v")
    assert noise.p > 0.3
    assert not noise.above
    shifted = evidence.effect_of(rows(lambda m, s, i: 0.1), "v", null=0.2)
    assert not shifted.above
    assert shifted.p < 0.01


def test_differences_are_paired_by_m0_and_item_over_the_seeds_that_both_have():
    a = rows(
        lambda m, s, i: 10 * m + i + 1 + 100 * s, seeds=(0, 1)
    )  # the second explainer has no partner and must not count
    b = rows(lambda m, s, i: 10 * m + i).sample(frac=1, random_state=0)
    paired = evidence.difference(a, b, "v")
    assert len(paired) == 150
    assert (paired["v"] == 1).all()
    named = [f.rename(columns={"v": "self"}) for f in (a, b)]
    assert (evidence.difference(*named, "self")["self"] == 1).all()
    effect = evidence.effect_of(paired, "v")
    assert (effect.low, effect.high) == pytest.approx((1, 1))


def test_of_one_m0_explainers_are_the_seeds():
    effect = evidence.effect_of(rows(lambda m, s, i: 0.1 * s - 0.05, seeds=(0, 1, 2), m0s=1), "v")
    assert (effect.seeds, effect.seeds_above, effect.unit) == (3, 2, "explainers")
    assert (effect.low, effect.high) == pytest.approx((-0.05, 0.15))
    apart = evidence.difference(
        *(rows(lambda m, s, i, k=k: s * k, seeds=(0, 1, 2), m0s=1) for k in (2, 1)), "v"
    )
    assert evidence.effect_of(apart, "v").seeds == 3


def test_depth_ranks_entities_by_how_often_m0_met_them():
    spec = make_spec("tiny")
    world = load_world(spec)
    asked = [world.names[k] for k in np.flatnonzero(world.test)[:90]]
    frame = pd.DataFrame({"group": [*asked, *asked, "nobody"], "base_cf": 1, "gold": 1})
    deep = with_depth(frame, "tiny", 3)
    assert len(deep) == 180
    assert deep["depth"].value_counts().to_dict() == {0: 60, 1: 60, 2: 60}
    met = dict(zip(world.names, world.exposure, strict=True))
    ends = deep.groupby("depth")["group"].agg(lambda g: (min(met[n] for n in g), max(met[n] for n in g)))
    assert ends[0][1] <= ends[1][0]
    assert ends[1][1] <= ends[2][0]


@pytest.fixture
def committed(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")


def test_the_committed_claims_follow_from_the_committed_tables_and_are_printed(committed):
    done = CliRunner().invoke(cli.app, ["claims", "--json"])
    printed = json.loads(done.stdout)
    assert {
        "claim",
        "text",
        "profile",
        "task",
        "seeds",
        "effect",
        "low",
        "high",
        "controls",
        "verdict",
    } <= printed[0].keys()
    assert {r["task"] for r in printed if r["claim"] == "1"} == {*main_tasks(), "mmlu"}
    now = pd.DataFrame(printed)
    then = files.read_table(files.tables_dir() / "claims.parquet")
    assert then["controls"].map(list).tolist() == now["controls"].tolist()
    numbers = ["seeds", "seeds_above", "effect", "low", "high", "p"]
    pd.testing.assert_frame_equal(
        now[numbers].astype(float), then[numbers].astype(float), check_exact=False, rtol=1e-9
    )
    assert now.drop(columns=["controls", *numbers]).equals(then.drop(columns=["controls", *numbers]))


def test_no_committed_verdict_rests_on_few_seeds_or_on_no_control(committed):
    done = files.read_table(files.tables_dir() / "claims.parquet")
    done = done[done["verdict"].isin(["replicated", "not replicated"])]
    assert (done["seeds"] >= done["unit"].map(claims.SEEDS)).all()
    assert (done["controls"].map(len) > 0).all()
    assert all(c.endswith((": passed", ": failed")) for row in done["controls"] for c in row)
    assert not any(
        c.endswith(": failed") for row in done.loc[done["verdict"] == "replicated", "controls"] for c in row
    )


def test_every_tested_claim_is_a_line_of_the_figure(committed):
    rows = files.read_table(files.tables_dir() / "claims.parquet")
    drawn = figures.claims.draw(rows)
    assert sum(len(axis.get_yticklabels()) for axis in drawn.axes) == (rows["verdict"] != "not tested").sum()
