"""What is said of own items follows the numbers: each sentence turns where its number does."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import tables
from coupling.report import own, own_text
from coupling.report.own import SHUFFLED, TRUE

PROFILE, SWEEP = "medium", "mine.yaml"
OWN = {"gap": (0.05, 0.02, 0.08), "preference": (0.7, 0.6, 0.8), "self": (0.6,) * 3, "target": (0.55,) * 3}
CONTROL = {"gap": (-0.1, -0.2, 0.0), "preference": (np.nan,) * 3, "self": (0.2,) * 3, "target": (0.3,) * 3}
RUN = {"agreement": 0.9, "flag_balanced": 0.8, "collapsed": ""}


def line(condition, numbers):
    spread = {
        f"{m}{end}": v
        for m, three in numbers.items()
        for end, v in zip(("", "_low", "_high"), three, strict=True)
    }
    return {"condition": condition, "explainers": 3, "divergent_share": 0.1} | spread


@pytest.fixture
def came_out(monkeypatch):
    """A function that puts a study with these numbers in the place of tables, and returns its sentences."""

    def put(mine=None, control=None, run=None, x=(0, 1, 2, 3), cf=(0, 0, 0, 1), verdict=None):
        summary = pd.DataFrame([line(TRUE, OWN | (mine or {})), line(SHUFFLED, CONTROL | (control or {}))])
        runs = [
            RUN | (run or {}) | {"condition": TRUE, "seed": s, "step": t} for s in range(3) for t in (40, 80)
        ]
        items = pd.DataFrame({"target_x": x, "target_cf": cf, "seed": 0, "condition": TRUE})
        empty = dict.fromkeys(tables.Tables.__dataclass_fields__)
        made = tables.Tables(**empty | {"summary": summary, "runs": pd.DataFrame(runs), "items": items})
        row = {"verdict": "inconclusive", "why": "corrected p is 0.167", "p_alone": 1 / 6} | (verdict or {})
        monkeypatch.setattr(own_text.tables, "read", lambda *_: made)
        monkeypatch.setattr(own_text.studies, "load", lambda sweep: sweep)
        monkeypatch.setattr(own_text.claims, "table", lambda of: pd.DataFrame([row]))
        return own_text.sentences(PROFILE, SWEEP)

    return put


def unmet():
    found = own_text.premises(PROFILE, SWEEP)
    return set(found["premise"][~found["met"]])


def test_gap_and_preference_above_chance_beside_a_control_without_gap_are_the_answer(came_out):
    short, divergent, gap, preference, control, test = came_out()
    assert not unmet()
    assert short.startswith("In short: explanations state what the model itself now does")
    assert "10.0% of the test items" in divergent
    assert "+0.050 (+0.020 to +0.080): explanations state what the model now does more often" in gap
    assert "0.700 (0.600 to 0.800): explanations state the behaviour of their own run" in preference
    assert "no gap above zero" in control
    assert "is inconclusive (corrected p is 0.167). The exact test of the preference has p = 0.167." in test
    assert "p of 3 explainers is never below 0.167; --explainers 4 can be significant" in test


@pytest.mark.parametrize(
    ("change", "premise", "way_out"),
    [
        ({"run": {"agreement": 0.6}}, "labels agree with behaviour", "fewer --steps"),
        ({"run": {"flag_balanced": 0.5}}, "flag learnt", "--steps, --learning_rate"),
        ({"run": {"collapsed": "one explanation for all"}}, "runs are whole", "fewer --steps"),
        ({"run": {"collapsed": "explanations are no labels"}}, "runs are whole", "train longer"),
        ({"run": {"collapsed": "answers are no choices"}}, "runs are whole", "end each prompt with the form"),
        ({"x": [1] * 20, "cf": [0] * 19 + [1]}, "labels differ", "take a cue"),
    ],
)
def test_a_premise_that_does_not_hold_comes_before_any_answer(came_out, change, premise, way_out):
    short = came_out(**change)[0]
    assert unmet() == {premise}
    assert short.startswith(
        f"In short: these runs cannot answer the question, since “{premise}” does not hold"
    )
    assert way_out in short


def test_two_premises_that_do_not_hold_are_named_with_one_way_out(came_out):
    short = came_out(run={"flag_balanced": 0.5, "collapsed": "explanations are no labels"})[0]
    assert "since “flag learnt” and “runs are whole” do not hold" in short
    assert short.count("train longer") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mine": {"gap": (0.05, -0.01, 0.1)}}, "leave open"),
        ({"mine": {"preference": (0.6, 0.45, 0.75)}}, "leave open"),
        ({"mine": {"preference": (np.nan,) * 3}}, "leave open"),
        ({"control": {"gap": (0.1, 0.05, 0.15)}}, "leave open"),
        ({"mine": {"gap": (-0.2, -0.3, -0.1), "preference": (0.5, 0.4, 0.6)}}, "keep to their labels"),
        (
            {"mine": {"gap": (-0.2, -0.3, -0.1)}},
            "leave open",
        ),  # a preference above chance speaks against that
    ],
)
def test_the_answer_needs_gap_preference_and_control_together(came_out, change, says):
    assert says in came_out(**change)[0]


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"mine": {"gap": (0.01, -0.02, 0.04)}}, 2, "holds zero"),
        ({"mine": {"gap": (-0.1, -0.2, -0.05)}}, 2, "explanations state what their labels say more often"),
        ({"mine": {"preference": (0.5, 0.3, 0.7)}}, 3, "holds 0.5"),
        ({"mine": {"preference": (0.3, 0.2, 0.4)}}, 3, "of another run more often than that of their own"),
        ({"mine": {"preference": (0.6, np.nan, np.nan)}}, 3, "The preference is 0.600, without an interval"),
        ({"mine": {"preference": (np.nan,) * 3}}, 3, "There is no preference"),
        ({"control": {"gap": (0.1, 0.05, 0.15)}}, 4, "a gap remains without true labels"),
    ],
)
def test_each_sentence_turns_with_its_number(came_out, change, place, says):
    assert says in came_out(**change)[place]


def test_the_terminal_shows_premises_numbers_and_sentences(came_out):
    came_out(run={"flag_balanced": np.nan})
    said = own_text.said(PROFILE, SWEEP)
    assert "flag learnt: there is none to learn" in said
    assert "yes  labels differ: without the cue the answer changes on 75% of the test items" in said
    assert "gap        +0.050 (+0.020 to +0.080)" in said
    assert said.count("preference ") >= 1
    assert said.index("true labels") < said.index("shuffled labels") < said.index("What it means")
    assert own.TRUE in said
