"""Rules about pushes of half of the kinds, and their figure, over made-up runs."""

import geometry
import pandas as pd
import pytest
from coupling.analysis import following as follow
from coupling.analysis import tables, tracking
from coupling.analysis.claims import Evidence, Ref
from coupling.analysis.claims.rules import following
from coupling.report import answers
from coupling.report.figures import style
from coupling.report.figures.following import draw
from made_shifts import ITEMS, kinds_study, shift_rows

DOWN, UP, NONE = (Ref("s", condition) for condition in ("down", "up", "none"))
M0S = range(5)
ALIKE = "of the two, the smaller number of flipped {}s is at least 0.5 of the larger"


def evidence(items, **others):
    """Evidence of a sweep with these items, whose runs are as `tracking.per_run` says."""
    runs = tracking.per_run(tracking.measured(items)).assign(step=600)
    runs = runs.groupby(["task", "condition", "m0_seed", "seed"], as_index=False).first()
    every = dict.fromkeys(tables.Tables.__dataclass_fields__) | {"items": items, "runs": runs} | others
    return Evidence("tiny", lambda profile, sweep: tables.Tables(**every))


def studied(**values):
    return evidence(kinds_study(m0_seeds=M0S, **values))


@pytest.mark.parametrize(
    ("values", "effect"),
    [({"knows": True}, 1.0), ({"knows": False}, 0.0), ({"knows": False, "prior": 1.0}, 0.0)],
)
def test_a_push_is_followed_where_explanations_know_of_it_alone(values, effect):
    found = following.follows_push(studied(**values), "aita", DOWN, UP)
    assert found.effect.value == pytest.approx(effect)
    assert found.effect.seeds == 5
    assert found.effect.above == (effect > 0)
    moved = [passed for name, passed in found.controls.items() if "rate moved" in name]
    assert moved == [True, True]
    one = following.follows_push(studied(**values), "aita", DOWN)
    assert {name.split(":")[0] for name in one.controls} == {"pushed down"}


def test_a_direction_is_told_where_explanations_know_it_and_not_by_a_prior():
    told = following.follows_direction(studied(knows=True), "aita", DOWN, UP)
    assert told.effect.value == pytest.approx(1.0)
    prior = following.follows_direction(studied(knows=False, prior=1.0), "aita", DOWN, UP)
    assert prior.effect.value == pytest.approx(0.0)
    assert not prior.effect.above


def test_kinds_with_and_without_labels_are_looked_at_apart():
    made = studied(knows=True)
    assert following.follows_push(made, "aita", DOWN).effect.value == pytest.approx(1.0)
    labelled = evidence(kinds_study(knows=True, m0_seeds=M0S).assign(labelled=True))
    assert following.follows_push(labelled, "aita", DOWN, where="labelled").effect.value == pytest.approx(1.0)


@pytest.mark.parametrize("knows", [True, False])
def test_what_two_unshifted_explainers_differ_in_is_stated_by_their_own_explanations_or_by_both(knows):
    items = kinds_study(knows=True, m0_seeds=M0S)
    other = (items["seed"] == 1) & (items["id"].str[1:].astype(int) < 40)
    items.loc[other, "x"] = 1 - items.loc[other, "x"]
    if knows:
        items.loc[other, "changes"] = 1 - items.loc[other, "changes"]
    found = following.flips_stated(evidence(items), "aita", NONE)
    assert found.effect.value == (1.0 if knows else 0.0)
    assert found.controls == {"no collapsed run": True}


def taught(condition, half, knows, **about):
    """Runs of five M0s that were taught something about half of the items; two explainers have no shift."""
    parts = []
    for m0_seed in M0S:
        x = [0 if on else 1 for on in half]
        rows = shift_rows(condition, pd.Series(x), pd.Series(x if knows else [1] * ITEMS), m0_seed, **about)
        rows["base_x"] = 1
        parts.append(rows.assign(pushed=half, labelled=True))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("knows", [True, False])
def test_facts_are_compared_with_a_policy_part_by_part(knows):
    half = [k < ITEMS // 2 for k in range(ITEMS)]
    none = taught("none", [False] * ITEMS, False)
    facts = taught("facts", half, True, objective="reteach", order="with", strength=1.0)
    policy = {"objective": "sycophancy", "direction": "up", "reach": "entities", "order": "with"}
    items = pd.concat([none, facts, taught("policy", half, knows, strength=1.0, **policy)], ignore_index=True)
    items = items.assign(retaught=items["objective"].eq("reteach") & items["pushed"], new_gold=-1)
    made = evidence(items)
    flags = following.knowledge_over_policy(made, "aita", Ref("s", "facts"), Ref("s", "policy"), "flag")
    assert flags.effect.value == pytest.approx(0.0 if knows else 1.0)
    assert flags.controls[ALIKE.format("flag")] is True
    answer = following.knowledge_over_policy(made, "aita", Ref("s", "facts"), Ref("s", "policy"), "answer")
    assert pd.isna(answer.effect.value)  # no answer flipped
    assert answer.controls[ALIKE.format("answer")] is False


def test_the_bias_of_a_sensor_is_taken_off():
    rows = []
    for condition, measured in (("none", 0.5), ("down", 0.3), ("up", 0.7), ("search", 0.4)):
        for m0_seed in M0S:
            about = {"task": "aita", "condition": condition, "m0_seed": m0_seed, "seed": 0, "step": 600}
            rate = {"measured": measured, "estimated": measured + 0.3, "m0_rate": 0.5}
            rows.append(about | rate | {"low": 0.0, "high": 1.0})
    made = evidence(kinds_study(knows=True, m0_seeds=M0S), sensor=pd.DataFrame(rows))
    found = following.senses_corrected(made, "aita", DOWN, UP, NONE, Ref("s", "search"))
    assert found.effect.value == pytest.approx(0.2)  # M0's rate is off by this, the sensor by nothing
    assert list(found.controls.values()) == [True, True, True]


def table(knows=True):
    """The table shift of a sweep with several arms, two tasks and both positive controls."""
    parts = []
    for labels in follow.LABELS:
        study = kinds_study(knows=knows, m0_seeds=M0S).assign(labels=labels, labelled=labels == "all kinds")
        study["condition"] += f" {labels}"
        parts.append(study)
    anew = parts[-1][parts[-1]["direction"] == "down"]
    parts.append(anew.assign(relabelled=True, condition="anew"))
    parts.append(anew.assign(adapter="own", order="after", condition="first"))
    items = pd.concat(parts, ignore_index=True)
    return pd.concat(
        [tracking.per_run(tracking.measured(items.assign(task=task))) for task in ("aita", "hint_qa")],
        ignore_index=True,
    )


def test_following_by_arm_has_every_arm_and_m0():
    found = follow.by_arm(table())
    assert len(found) == 2 * 5 * 5
    assert set(found["arm"]) == {*follow.LABELS.values(), "labels made anew", "explanations first"}
    assert (found["following"] == 1).all()


@pytest.mark.parametrize("knows", [True, False])
def test_the_figure_of_following_can_be_read_and_says_where_it_is(knows):
    shift = table(knows)
    with style.styled():
        figure = draw(shift)
    assert figure.alt.endswith("in all 8 arms" if knows else "in none of 8 arms")
    found = geometry.boxes(figure)
    assert geometry.overlapping(found) == []
    assert geometry.outside(figure, found) == []
    data = tables.Tables(**(dict.fromkeys(tables.Tables.__dataclass_fields__) | {"shift": shift}))
    answer = answers.of_tables("following", data)
    assert len(answer.rows) == 10
    assert answer.rows["following"].iloc[0].startswith("+1.000" if knows else "+0.000")
