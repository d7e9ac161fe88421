"""Rules over made-up runs tell explanations that follow behaviour from those that keep to labels."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import measures, tables, tracking
from coupling.analysis.claims import Evidence, Finding, Missing, NotMeasuredError, Ref, effects, fitness
from coupling.analysis.claims.rules import labels, shifts
from coupling.files import StoreError
from coupling.sweep import Premise
from made_shifts import ITEMS, shift_study

NONE, UP, DOWN = (Ref("shift", condition) for condition in ("none", "up, 1", "down, 1"))


def made(**frames):
    """Evidence of one sweep with these tables."""
    every = dict.fromkeys(tables.Tables.__dataclass_fields__) | frames
    return Evidence("tiny", lambda profile, sweep: tables.Tables(**every))


def shifted(follow):
    """Evidence of runs of five M0s that were pushed down, not at all, and up."""
    items = pd.concat([shift_study(follow, m) for m in range(5)], ignore_index=True)
    runs = tracking.per_run(tracking.measured(items)).assign(step=600)
    return made(items=items, runs=runs, sensor=tracking.estimates(items))


@pytest.mark.parametrize("follow", [True, False])
def test_rules_of_shifts_tell_following_from_keeping(follow):
    evidence = shifted(follow)
    for condition, opposite in ((UP, DOWN), (DOWN, UP)):
        found = shifts.follows(evidence, "aita", condition, opposite)
        assert found.effect.above == follow
        assert found.controls["gap above zero"] == follow
        assert found.controls["behaviour shifted by more than 0.1"] is True
        p, goes = found.tests["matrix across directions"]
        assert (p < 0.05 and goes) == follow
        assert shifts.follows_plainly(evidence, "aita", condition).effect.above == follow
        flipped = shifts.follows_flipped(evidence, "aita", condition).effect
        assert flipped.value == pytest.approx(1.0 if follow else 0.0)
        assert not shifts.follows(evidence, "aita", condition).tests  # no opposite, no matrix
    assert shifts.share_said(evidence, "aita", UP, DOWN).effect.value == pytest.approx(1.0 if follow else 0.0)
    gained = shifts.senses(evidence, "aita", "shift", 1.0)
    assert gained.effect.value == pytest.approx(0.5 if follow else 0.0)
    assert gained.controls == {
        "without a shift no further off than 0.05": True,
        "says more after up than after down, in each M0": follow,
    }
    unknown = shifts.senses(evidence, "aita", "shift", 3.0).controls  # nothing was pushed so hard
    assert unknown["says more after up than after down, in each M0"] is Missing.NOT_RUN


def test_a_shift_counts_from_a_tenth_on_and_in_its_own_direction():
    evidence = shifted(True)
    up, none = (evidence.shifted(condition, "aita") for condition in (UP, NONE))
    assert shifts.moved(up) is True
    assert shifts.moved(up.assign(direction="down")) is False
    assert shifts.moved(none) is False
    tenth = np.arange(len(up)) % ITEMS < ITEMS * 0.1  # a tenth of the shift of one half
    assert shifts.moved(up.assign(rate=np.where(tenth, up["rate"], up["m0_rate"]))) is False


def test_what_was_not_run_is_told_from_what_cannot_be_computed():
    evidence = shifted(True)
    for ref, task in ((Ref("shift", "up, 9"), "aita"), (UP, "refusal")):
        with pytest.raises(NotMeasuredError):
            shifts.follows_plainly(evidence, task, ref)
    with pytest.raises(NotMeasuredError, match="no table sensor"):
        shifts.senses(made(), "aita", "shift", 1.0)
    with pytest.raises(NotMeasuredError, match="make study"):
        Evidence("tiny").table("items", "shift")
    summary = evidence.finals(UP, "aita").assign(mcnemar_p=0.01, decided_self=0.9)
    one_each = made(
        items=evidence.table("items", "shift"), runs=evidence.table("runs", "shift"), summary=summary
    )
    found = labels.by_content(one_each, "aita", UP)  # each M0 has one explainer, and so no excess gap
    assert np.isnan(found.effect.value)
    assert found.effect.why == "the excess gap needs a second run with the same M0 and the same labels"
    assert found.controls["gap above zero"] is True


def test_a_damaged_table_is_an_error_and_not_a_claim_that_nobody_tested():
    where = tables.folder("tiny", "shift")
    where.mkdir(parents=True)
    (where / "keys.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Evidence("tiny").table("items", "shift")


def test_a_control_that_was_not_run_leaves_the_claim():
    evidence = shifted(True)
    items, runs = evidence.table("items", "shift"), evidence.table("runs", "shift")
    runs = runs.assign(gold=np.nan, self_content=np.nan)
    base = pd.DataFrame({"m0_seed": range(5), "task": "aita", "untrained_forced_choice": 0.1, "flips_x": 0.0})
    summary = pd.DataFrame([{"task": "aita", "condition": "up, 1", "mcnemar_p": 0.01, "decided_self": 0.9}])
    whole = made(items=items, runs=runs, base=base, summary=summary)
    absent = Ref("shift", "not run")
    found = labels.own_labels(whole, "aita", UP, shuffled=absent, content=DOWN, teachers=absent)
    assert found.controls[labels.SHUFFLED] is Missing.NOT_RUN
    assert found.controls["teacher matrix"] is Missing.NOT_RUN
    assert found.controls["labels by content: gap above zero"] is True
    assert set(found.tests) == {"decided divergent items go with self (McNemar)"}
    plain = labels.own_labels(whole, "aita", UP)
    assert not any(outcome is Missing.NOT_RUN for outcome in plain.controls.values())


def test_measures_of_shared_rows_are_made_once():
    evidence = shifted(True)
    assert evidence.rows(UP, "aita") is evidence.rows(Ref("shift", "up, 1"), "aita")
    pd.testing.assert_frame_equal(
        evidence.rows(UP, "aita"),
        measures.with_measures(evidence.table("items", "shift", task="aita", condition="up, 1")),
    )


def agreeing(*falls, labelled=None):
    """Evidence of runs whose agreement falls to a value on the way and comes back, one M0 each."""
    frame = pd.DataFrame(
        [
            {"task": "aita", "condition": "c", "m0_seed": m, "seed": s, "step": step, "agreement": agreement}
            for m, fall in enumerate(falls)
            for s in (0, 1)
            for step, agreement in ((1, fall + 0.05 * (-1) ** s), (2, 0.95))
        ]
    )
    return made(runs=frame if labelled is None else frame.assign(agreement_labelled=labelled))


@pytest.mark.parametrize(
    ("falls", "labelled", "met"),
    [
        ((0.7, 0.8, 0.8, 0.8, 0.6), None, True),  # four of five M0s, each as a mean over its runs
        ((0.69, 0.8, 0.8, 0.8, 0.6), None, False),
        ((0.72,), None, True),
        ((0.5,), 0.9, True),  # where kinds go without labels, those with labels count
    ],
)
def test_a_premise_is_agreement_at_every_evaluation_in_four_of_five_m0s(falls, labelled, met):
    evidence = agreeing(*falls, labelled=labelled)
    said = fitness.premise(Premise(), evidence, (Ref("s", "c"),), "aita")
    assert (said == "met") == met
    if not met:
        assert said == (
            "not met: the lowest agreement of labels with current behaviour is 0.60 to 0.80 over the M0s; "
            "it stays at 0.7 or above in 3 of 5 M0s of 'c'"
        )


def test_most_runs_without_the_flag_or_collapsed_decide_nothing():
    runs = pd.DataFrame(
        [
            {"task": "aita", "condition": "c", "m0_seed": m, "seed": 0, "step": 1, "collapsed": fallen}
            | {"flag_balanced": balanced}
            for m, (fallen, balanced) in enumerate([("", 0.5), ("one choice for all", 0.6), ("", 0.9)])
        ]
    )
    evidence, ref = made(runs=runs), Ref("s", "c")
    nothing = effects.over_seeds(np.array([0.1, 0.2]))
    about_flags = Finding("m", nothing, rests_on=(ref,))
    assert fitness.unfit(about_flags, evidence, "aita") == "flag not learnt in 2 of 3 runs of 'c'"
    assert fitness.unfit(Finding("m", nothing, rests_on=(ref,), of_flags=False), evidence, "aita") == ""
    fallen = made(runs=runs.assign(collapsed="one choice for all", flag_balanced=0.9))
    assert fitness.unfit(about_flags, fallen, "aita") == "3 of 3 runs of 'c' are collapsed"
    assert fitness.unfit(Finding("m", nothing), evidence, "aita") == ""


def test_tasks_that_are_joined_are_pooled_and_all_of_them_must_have_run():
    evidence = shifted(True)
    both = evidence.table("items", "shift")
    two = made(items=pd.concat([both, both.assign(task="refusal")], ignore_index=True))
    assert len(two.rows(UP, "aita+refusal")) == 2 * len(two.rows(UP, "aita"))
    assert len(two.units(UP, "aita+refusal")) == 2
    with pytest.raises(NotMeasuredError, match=r"no row of .*hint_qa"):
        two.rows(UP, "aita+hint_qa")
