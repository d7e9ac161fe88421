"""Verdicts follow the rules of PLAN.md, and the committed claims follow from the committed tables."""

import json

import numpy as np
import pandas as pd
import pytest
from coupling import cli, files
from coupling.analysis import claims, resampling
from coupling.analysis.claims import Effect, Finding, Missing, effects, verdicts
from coupling.analysis.claims.rules import conditions
from coupling.analysis.depth import with_depth
from coupling.errors import StudyError
from coupling.report import study
from coupling.spec import make_spec
from coupling.sweep import Claim, read_sweep
from coupling.tasks import load_world, main_tasks
from scipy.stats import false_discovery_control
from typer.testing import CliRunner

GOOD = {"effect": Effect(0.04, 0.03, 0.05, 0.001, 5), "controls": {"a": True, "b": True}}
NAN = float("nan")


def row(finding, part=1, profile="tiny", text="text", number="1", task="hint_qa", **about):
    """A row of the table, were this the finding; without a part it is an exploration."""
    fitness = {name: about.pop(name) for name in ("premise", "unfit") if name in about}
    given = {"number": number, "text": text, "part": part, "exploration": part is None}
    return claims.Row(Claim(**(given | about)), profile, task, finding, **fitness)


def effect(value, low, high, p=0.001, seeds=5, **more):
    return {"effect": Effect(value, low, high, p, seeds, **more)}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "replicated"),
        (effect(0.04, 0.03, 0.05, seeds=4), "inconclusive"),  # too few M0 seeds
        (effect(-0.02, -0.03, -0.01, seeds=4), "inconclusive"),
        ({"controls": {"a": True, "b": False}}, "inconclusive"),
        ({"controls": {}}, "inconclusive"),  # an effect without a control decides nothing
        (effect(0.02, -0.01, 0.03, 0.2), "inconclusive"),
        (effect(0.02, 0.01, 0.03, 0.06), "inconclusive"),
        (effect(0.005, -0.01, 0.019, 0.4), "not replicated"),  # too small to matter
        (effect(0.01, 0.002, 0.019, 0.001), "not replicated"),
        (effect(0.005, -0.01, 0.021, 0.4), "inconclusive"),
        (effect(0.52, 0.5, 0.549, 0.2, null=0.5, matters=0.55), "not replicated"),
        (effect(0.54, 0.49, 0.56, 0.2, null=0.5, matters=0.55), "inconclusive"),
        (effect(-0.02, -0.03, -0.01) | {"controls": {"a": False}}, "not replicated"),
        (effect(-0.01, -0.015, 0.0, null=-0.02, matters=-0.02), "replicated"),
        (effect(-0.04, -0.05, -0.03, null=-0.02, matters=-0.02), "not replicated"),
        (effect(0.65, 0.56, 0.74, NAN) | {"within": (0.55, 0.75)}, "replicated"),
        (effect(0.65, 0.5, 0.74, NAN) | {"within": (0.55, 0.75)}, "inconclusive"),
        (effect(0.9, 0.8, 0.95, NAN) | {"within": (0.55, 0.75)}, "not replicated"),
        (effect(0.04, 0.03, 0.05, seeds=3, unit="explainers"), "replicated"),  # of a model taken as it is
        (effect(0.04, 0.03, 0.05, seeds=2, unit="explainers"), "inconclusive"),
        ({"controls": {"a": True, "b": Missing.NOT_RUN}}, "inconclusive"),
        ({"tests": {"t": (0.001, True)}}, "replicated"),
        ({"tests": {"t": (0.001, False)}}, "inconclusive"),
        ({"tests": {"t": (0.2, True)}}, "inconclusive"),
    ],
)
def test_a_verdict_follows_its_rule_and_says_why(change, verdict):
    found = claims.decide([row(Finding(**{"measure": "m", **GOOD, **change}))])
    assert found["verdict"].tolist() == [verdict]
    assert (found["why"][0] == "") == (verdict == "replicated")
    assert found["supported"].tolist() == [verdict == "replicated"]


def test_an_exploration_is_never_replicated_but_says_that_all_is_there():
    good, bad = Finding("m", **GOOD), Finding("m", **effect(0.0, -0.01, 0.01, 0.9), controls={"a": True})
    found = claims.decide([row(good, None), row(bad, None, text="other")])
    assert found["verdict"].tolist() == ["inconclusive", "not replicated"]
    assert found["supported"].tolist() == [True, False]
    assert found["why"][0].startswith("an exploration")


def test_a_premise_that_does_not_hold_is_a_verdict_of_its_own_and_unfit_runs_decide_nothing():
    good, bad = Finding("m", **GOOD), Finding("m", **effect(0.0, -0.01, 0.01, 0.9), controls={"a": True})
    rows = [
        row(finding, text=f"{k} {name}", **{name: why})
        for k, finding in enumerate((good, bad))
        for name, why in (
            ("premise", "not met: agreement 0.6"),
            ("premise", "met"),
            ("unfit", "flag not learnt"),
        )
    ]
    rows = [
        claims.Row(r.claim, r.profile, f"t{k}", r.finding, r.premise, r.unfit) for k, r in enumerate(rows)
    ]
    found = claims.decide(rows)
    assert found["verdict"].tolist() == [
        *("premise not met", "replicated", "inconclusive"),
        *("premise not met", "not replicated", "inconclusive"),
    ]
    assert found["why"].tolist()[:3] == ["agreement 0.6", "", "flag not learnt"]


@pytest.mark.parametrize(
    ("effect", "why"),
    [
        (Effect(0.04, 0.01, 0.05, NAN, 5), "not a number: p"),
        (Effect(0.04, NAN, 0.03, 0.001, 5), "not a number: interval"),
        (Effect(NAN, NAN, NAN, NAN, 1, why="one explainer is too few"), "one explainer is too few"),
    ],
)
def test_a_number_that_is_missing_makes_a_row_not_computable(effect, why):
    found = claims.decide([row(Finding("m", effect, {"a": True}))]).iloc[0]
    assert (found["verdict"], found["why"]) == ("not computable", why)
    assert (found["measure"], found["seeds"]) == ("m", effect.seeds)


def test_a_control_without_a_number_is_not_passed():
    test = Finding("m", Effect(0.04, 0.03, 0.05, 0.03, 5), {"a": True}, {"t": (NAN, True)})
    found = claims.decide([row(test)])
    assert found["controls"][0] == ["a: passed", "t: not computable"]
    assert found["verdict"].tolist() == ["inconclusive"]


def test_what_no_interval_can_say_is_no_outcome_either_way():
    nothing = effects.effect_of(rows(lambda m, s, i: NAN), "v")
    for control in (effects.above(nothing), effects.no_effect(nothing)):
        assert control is Missing.NOT_COMPUTABLE


def test_no_effect_is_shown_and_not_merely_not_rejected():
    """A small effect that is measured well passes. One that is measured badly does not, be it zero."""
    small = effects.effect_of(rows(lambda m, s, i: 0.005 + 0.001 * (-1) ** m), "v")
    noisy = effects.effect_of(rows(lambda m, s, i: 0.05 * (m - 2)), "v")
    assert small.above
    assert not noisy.above
    assert effects.no_effect(small) is True
    assert effects.no_effect(noisy) is False
    assert effects.no_effect(small, margin=0.004) is False


FAMILY = {"measure": "m", "controls": {"a": True}}


def p_of(*rows_):
    """Corrected p of rows, each given as (p, what Claim and Row get)."""
    made = [
        row(Finding(effect=Effect(0.04, 0.03, 0.05, p, 5), **FAMILY), **{"task": f"t{k}", **about})
        for k, (p, about) in enumerate(rows_)
    ]
    return claims.decide(made)["p"].tolist()


def test_primary_tests_are_one_family_of_eleven_whatever_was_run():
    primary = {"primary": True}
    assert p_of((0.004, primary)) == pytest.approx([0.044])
    two = p_of((0.004, primary | {"number": "1"}), (0.02, primary | {"number": "2"}))
    assert two == pytest.approx([0.044, 0.2])
    # Neither other rows nor explorations nor another profile weaken it.
    more = [(0.03, {}), (0.03, {"number": "own"}), (0.001, primary | {"part": None})]
    assert p_of((0.004, primary), *more)[0] == pytest.approx(0.044)


def test_a_claim_has_one_primary_test():
    found = Finding("m", **GOOD)
    with pytest.raises(claims.PlanError, match="claim 1 has two primary tests at tiny"):
        claims.decide([row(found, primary=True), row(found, primary=True, task="aita")])
    claims.decide([row(found, primary=True), row(found, primary=True, profile="medium")])


def test_the_false_discovery_rate_is_that_of_scipy_to_the_last_digit():
    p = np.random.default_rng(0).uniform(size=40).tolist()
    p += [p[3], 0.0, 1.0]  # ties and both ends
    assert verdicts.false_discovery(p) == false_discovery_control(p).tolist()
    assert verdicts.false_discovery([0.3]) == [0.3]


def test_rows_of_a_claim_are_corrected_over_its_tasks_and_our_own_by_false_discovery_rate():
    assert p_of((0.01, {}), (0.04, {}), (0.03, {})) == pytest.approx([0.03, 0.06, 0.06])
    assert p_of((0.01, {}), (0.04, {"text": "another measure"})) == [0.01, 0.04]
    own = {"number": "own"}
    assert p_of((0.01, own), (0.02, own | {"text": "b"}), (0.03, own | {"text": "c"})) == pytest.approx(
        [0.03] * 3
    )
    assert claims.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert claims.holm([0.6, 0.7]) == [1.0, 1.0]
    assert claims.holm([0.01, 0.02], tests=11) == pytest.approx([0.11, 0.2])


def test_what_nothing_tests_is_not_tested_and_stands_once():
    table = claims.decide([row(None), row(None, profile="medium")])
    assert table[["profile", "verdict", "seeds"]].values.tolist() == [["tiny", "not tested", 0]]
    assert table["controls"].tolist() == [[]]


def test_what_is_tested_at_one_size_is_not_listed_as_untested_at_another():
    table = claims.decide([row(None), row(Finding("m", **GOOD), profile="medium")])
    assert table[["profile", "verdict"]].values.tolist() == [["medium", "replicated"]]
    assert set(table["verdict"]) <= set(claims.VERDICTS)


def test_without_any_table_no_claim_is_tested():
    table = claims.table(study.load_all())
    assert set(table["verdict"]) == {"not tested"}
    assert set(table["claim"]) == {*map(str, range(1, 12)), "own"}


@pytest.mark.parametrize(
    ("gap", "where"),
    [
        ([-0.2, -0.1, 0.1], 0.75),
        ([-0.2, 0.2, 0.1], 0.4),
        ([0.1, 0.2, 0.3], 0.3),
        ([-0.1, -0.2, -0.3], 1.0),
        ([-0.1, 0.1, -0.1], 1.0),
        ([0.1, -0.1, 0.1], 0.75),
        ([-0.1, NAN, 0.1], NAN),
    ],
)
def test_the_onset_is_the_last_crossing(gap, where):
    orders = np.array([[0, 1, 2], [2, 0, 1]])
    found = conditions.crossings(np.array([0.3, 0.5, 1.0])[orders], np.array(gap)[orders])
    assert found.tolist() == pytest.approx([where, where], nan_ok=True)


def rows(value, seeds=(0,), m0s=5, items=30):
    index = [(m, s, f"i{k}", f"g{k // 3}") for m in range(m0s) for s in seeds for k in range(items)]
    frame = pd.DataFrame(index, columns=["m0_seed", "seed", "id", "group"])
    return frame.assign(v=[value(m, s, int(i[1:])) for m, s, i, _ in index])


def test_effects_have_t_intervals_over_m0_means_and_bootstrap_ones_beside_them():
    frame = rows(lambda m, s, i: 0.1 + 0.01 * m)
    sure = effects.effect_of(frame, "v")
    each = frame.groupby("m0_seed")["v"].mean()
    assert (sure.low, sure.high, sure.p) == pytest.approx(resampling.t_interval(each))
    assert (sure.value, sure.seeds, sure.above) == (pytest.approx(0.12), 5, True)
    assert sure.low < sure.drawn[0] < sure.value < sure.drawn[1] < sure.high  # wider than the bootstrap
    assert sure.value < sure.upper < sure.high
    noise = effects.effect_of(rows(lambda m, s, i: (-1) ** m * (1 + 0.1 * m)), "v")
    assert noise.p > 0.3
    assert not noise.above
    shifted = effects.effect_of(frame, "v", null=0.2)
    assert not shifted.above
    assert shifted.p < 0.01


def test_of_one_seed_there_is_an_interval_over_groups_and_no_p():
    alone = effects.effect_of(rows(lambda m, s, i: 0.1 * (i % 3), m0s=1), "v")
    assert (alone.seeds, alone.unit) == (1, "explainers")
    assert (alone.low, alone.high) == alone.drawn
    assert np.isnan(alone.p)


def test_differences_are_paired_by_m0_and_item_over_the_seeds_that_both_have():
    a = rows(
        lambda m, s, i: 10 * m + i + 1 + 100 * s, seeds=(0, 1)
    )  # the second explainer has no partner and must not count
    b = rows(lambda m, s, i: 10 * m + i).sample(frac=1, random_state=0)
    paired = effects.difference(a, b, "v")
    assert len(paired) == 150
    assert (paired["v"] == 1).all()
    named = [f.rename(columns={"v": "self"}) for f in (a, b)]
    assert (effects.difference(*named, "self")["self"] == 1).all()
    effect = effects.effect_of(paired, "v")
    assert (effect.low, effect.high) == pytest.approx((1, 1))


def test_of_one_m0_explainers_are_the_seeds():
    effect = effects.effect_of(rows(lambda m, s, i: 0.1 * s - 0.05, seeds=(0, 1, 2), m0s=1), "v")
    assert (effect.seeds, effect.seeds_above, effect.unit) == (3, 2, "explainers")
    assert (effect.low, effect.high) == pytest.approx(resampling.t_interval([-0.05, 0.05, 0.15])[:2])
    assert effect.drawn == pytest.approx((-0.05, 0.15))
    apart = effects.difference(
        *(rows(lambda m, s, i, k=k: s * k, seeds=(0, 1, 2), m0s=1) for k in (2, 1)), "v"
    )
    assert effects.effect_of(apart, "v").seeds == 3


def test_two_sets_of_runs_without_a_pair_have_no_difference():
    apart = effects.difference(rows(lambda m, s, i: 1.0), rows(lambda m, s, i: 0.0, seeds=(1,)), "v")
    effect = effects.effect_of(apart, "v")
    assert np.isnan(effect.value)
    assert effect.why


def test_depth_ranks_entities_by_how_often_m0_met_them():
    spec = make_spec("tiny")
    world = load_world(spec)
    asked = [world.names[k] for k in np.flatnonzero(world.test)[:90]]
    frame = pd.DataFrame({"group": [*asked, *asked, "nobody"], "base_cf": 1, "gold": 1})
    deep = with_depth(frame, "tiny", "headline", 3)
    assert len(deep) == 180
    assert deep["depth"].value_counts().to_dict() == {0: 60, 1: 60, 2: 60}
    met = dict(zip(world.names, world.exposure, strict=True))
    ends = deep.groupby("depth")["group"].agg(lambda g: (min(met[n] for n in g), max(met[n] for n in g)))
    assert ends[0][1] <= ends[1][0]
    assert ends[1][1] <= ends[2][0]


def test_depth_is_that_of_the_world_of_the_sweep():
    other = load_world(make_spec("tiny", **read_sweep("confirm_dynamics").values))
    frame = pd.DataFrame({"group": other.names, "base_cf": 1, "gold": 1})
    deep = with_depth(frame, "tiny", "confirm_dynamics", 2).set_index("group")["depth"]
    met = pd.Series(other.exposure, other.names)
    assert met[deep[deep == 0].index].max() <= met[deep[deep == 1].index].min()
    with pytest.raises(StudyError, match="tiny, headline: no item is about an entity"):
        with_depth(frame.assign(group="nobody"), "tiny", "headline", 2)


@pytest.fixture
def committed(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")


def test_the_committed_claims_follow_from_the_committed_tables_and_are_printed(committed):
    done = CliRunner().invoke(cli.app, ["claims", "--json"])
    printed = json.loads(done.stdout)
    assert {
        "claim",
        "text",
        "exploration",
        "primary",
        "part",
        "profile",
        "task",
        "seeds",
        "effect",
        "low",
        "high",
        "controls",
        "verdict",
        "why",
    } <= printed[0].keys()
    assert {r["task"] for r in printed if r["claim"] == "1"} == {
        *main_tasks(),
        "+".join(main_tasks()),
        "mmlu",
    }
    now = pd.DataFrame(printed)
    then = files.read_table(files.tables_dir() / "claims.parquet")
    assert then["controls"].map(list).tolist() == now["controls"].tolist()
    numbers = [
        "part",
        "seeds",
        "seeds_above",
        "effect",
        "low",
        "high",
        "drawn_low",
        "drawn_high",
        "p_alone",
        "p",
    ]
    pd.testing.assert_frame_equal(
        now[numbers].astype(float), then[numbers].astype(float), check_exact=False, rtol=1e-9
    )
    assert now.drop(columns=["controls", *numbers]).equals(then.drop(columns=["controls", *numbers]))


def test_no_committed_verdict_rests_on_few_seeds_or_on_no_control(committed):
    done = files.read_table(files.tables_dir() / "claims.parquet")
    assert set(done["verdict"]) <= set(claims.VERDICTS)
    done = done[done["verdict"].isin(["replicated", "not replicated"])]
    assert (done["seeds"] >= done["unit"].map(claims.SEEDS)).all()
    assert (done["controls"].map(len) > 0).all()
    assert done[["effect", "low", "high"]].notna().all(axis=None)
    assert not any(
        c.endswith(": failed") for row in done.loc[done["verdict"] == "replicated", "controls"] for c in row
    )


def test_the_committed_table_says_which_rows_are_explorations(committed):
    done = files.read_table(files.tables_dir() / "claims.parquet")
    assert done.loc[done["part"].isna(), "exploration"].all()
    assert not done.loc[done["exploration"], "verdict"].eq("replicated").any()
    undecided = ~done["verdict"].isin(["replicated", "not tested"])
    assert (done.loc[undecided, "why"] != "").all()
    # The rules of the ninth part were written after the data of all earlier ones had been seen.
    run = done[done["verdict"] != "not tested"]
    assert run.loc[run["part"].fillna(0) < 9, "exploration"].all()
