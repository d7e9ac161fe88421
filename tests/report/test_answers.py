"""What figures say in words: sides of intervals, and tables and sentences of every figure of the study."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import tables
from coupling.report import answers, figures, study
from coupling.report.answers import words
from coupling.spec import SpecError
from scipy import stats

ROOT = Path(__file__).parents[2]
NAN = float("nan")
SHOWN = [
    (profile, sweep, figure)
    for profile, sweep in (
        (path.parent.parent.name, path.parent.name)
        for path in sorted((ROOT / "figures" / "data").glob("*/*/keys.json"))
    )
    for figure in study.load(sweep).at(profile).figures
]


@pytest.fixture
def committed(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)


def case(name, mean, half=0.1):
    return words.Case(name, mean, mean - half, mean + half)


def test_a_case_lies_on_the_side_of_its_whole_interval():
    found = words.sides("The gap", [case("a", 0.2), case("b", -0.2), case("c", 0.05), case("d", 0.3)])
    assert found == [
        "The gap lies above zero for a (+0.200) and d (+0.300); it lies below zero for b (-0.200); "
        "it cannot be told from zero for c (+0.050)."
    ]
    assert words.sides("The preference", [case("a", 0.55)], words.HALF) == [
        "The preference cannot be told from one half for a (0.550)."
    ]


def test_a_case_without_an_interval_is_on_no_side():
    said = words.sides("The gap", [words.Case("a", 0.2, NAN, NAN)])
    assert said == ["The gap has no interval for a (+0.200), because too few runs are behind it."]
    assert words.sides("The gap", []) == []


def test_shares_are_compared_case_by_case_and_what_is_missing_is_left_out():
    found = [
        words.Pair("a", 0.5, 0.4, 0.05, 0.15),
        words.Pair("b", 0.3, 0.3, -0.1, 0.1),
        words.Pair("c", NAN, 0.1, NAN, NAN),
        words.Pair("d", 0.1, 0.4, -0.5, -0.1),
        words.Pair("e", 0.2, 0.1, NAN, NAN),
        words.Pair("f", 0.5, 0.4, -0.05, 0.25),  # a higher mean, and an interval that holds zero
    ]
    assert words.more_often("It is {} that for", found, ("more than", "less than", "as")) == [
        "It is more than that for a (0.500 against 0.400).",
        "It is less than that for d (0.100 against 0.400).",
        "It is as that for b (0.300 against 0.300) and f (0.500 against 0.400).",
        "Nothing follows for e (0.200 against 0.100): there is one run of each, and so no interval.",
    ]


def test_two_measures_are_compared_by_the_interval_over_m0s():
    runs = pd.DataFrame({"task": "t", "condition": "c", "m0_seed": [0, 0, 1, 1, 2, 2], "seed": [0, 1] * 3})
    runs["a"], runs["b"] = [0.5, 0.7, 0.6, 0.6, 0.7, 0.7], [0.2, 0.2, 0.3, 0.1, 0.1, 0.1]
    (found,) = words.pairs(runs, "a", "b")
    assert (found.name, found.one, found.other) == (
        "`c`",
        pytest.approx(0.6333, abs=1e-3),
        pytest.approx(0.1667, abs=1e-3),
    )
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 2, 0.4667, stats.sem([0.4, 0.4, 0.6])), abs=1e-3
    )
    (alone,) = words.pairs(runs[:1], "a", "b")
    assert np.isnan([alone.low, alone.high]).all()


def test_names_have_a_task_where_there_are_several():
    one = pd.DataFrame({"task": ["t", "t"], "condition": ["a", "b"]})
    assert words.named(one) == ["`a`", "`b`"]
    assert words.named(one.assign(task=["t", "u"])) == ["t `a`", "u `b`"]


@pytest.mark.parametrize(("profile", "sweep", "figure"), SHOWN, ids=lambda name: name)
def test_every_figure_of_a_committed_sweep_has_a_table_and_sentences(committed, profile, sweep, figure):
    answer = answers.of_sweep(figure, profile, sweep)
    assert answer.found
    assert len(answer.filled)
    assert all(isinstance(cell, str) for cell in answer.rows.to_numpy().ravel())
    text = answer.text + answer.filled.to_string()
    assert "nan" not in text.lower().replace("finance", "")
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in answer.found)


@pytest.mark.parametrize("figure", ["claims", "scale", "speed"])
def test_every_figure_of_the_study_has_a_table_and_sentences(committed, figure):
    table = figures.study_table({"speed": "bench"}.get(figure, figure))
    answer = answers.of_study(figure, table)
    assert answer.found
    assert 0 < len(answer.filled) <= len(table)
    assert "nan" not in answer.text.lower().split()


def test_conditions_can_be_left_out(committed):
    whole = answers.of_sweep("headline", "tiny", "headline")
    part = answers.of_sweep("headline", "tiny", "headline", ("KL on",))
    assert set(whole.rows["condition"]) == {"KL on", "KL off"}
    assert set(part.rows["condition"]) == {"KL on"}
    assert "KL off" not in part.text


def test_sentences_follow_the_table(committed):
    data = tables.read("tiny", "rank")
    turned = data.summary.assign(gap=-data.summary["gap"], gap_low=-data.summary["gap_high"])
    turned["gap_high"] = -data.summary["gap_low"]
    now = answers.of_tables("curve", data).found[0]
    then = answers.of_tables("curve", replace(data, summary=turned)).found[0]
    assert "lies above zero for" in now
    assert "lies below zero for" in then
    assert "lies above" not in then


def test_a_run_with_a_single_evaluation_moves_nowhere(committed):
    data = tables.read("tiny", "rank")
    still = data.lead_lag.assign(items_divergent=0)
    once = data.dynamics[data.dynamics["step"] == data.dynamics["step"].max()]
    answer = answers.of_tables("dynamics", replace(data, lead_lag=still, dynamics=once))
    assert answer.filled.empty
    assert "behaviour follows" in answer.filled
    assert answer.text == "- Too few evaluations are behind the table to say anything."
    assert "<th" in answer.table.to_html()


def test_an_unknown_figure_is_an_error():
    with pytest.raises(SpecError, match="unknown figure 'headlin'"):
        answers.of_study("headlin", pd.DataFrame())
