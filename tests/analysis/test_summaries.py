"""Means of measures, baselines, and the signs of a collapsed run."""

import numpy as np
import pandas as pd
import pytest
from coupling import files
from coupling.analysis import flags, measures, summaries
from made_rows import frame_of, make_rows


@pytest.fixture
def four(items):
    return items[1][:4]


def test_baselines_by_hand(four):
    frame = make_rows(four, ["stays at A"] * 4, ([0, 0, 0, 1], [0, 0, 1, 1]), ([1] * 4, [1] * 4))
    base = summaries.baselines(frame)
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
    found = summaries.collapse(make_rows(four, said, now, ([0, 1, 2, 3], [0, 1, 2, 3])))
    assert (reason in found) if reason else found == ""


@pytest.mark.parametrize(("unlabelled", "reason"), [(0, ""), (1, "items without a label")])
def test_a_run_with_more_than_a_fifth_of_items_without_a_label_is_collapsed(four, unlabelled, reason):
    varied = ([0, 1, 2, 3], [1, 2, 3, 0])
    said = ["changes to B", "changes to C", "changes to D", "changes to A"]
    frame = make_rows(four, said, varied, varied)
    frame.loc[: unlabelled - 1, ["x", "cf"]] = -1
    assert summaries.collapse(frame) == reason
    run = summaries.per_run(measures.with_measures(frame.assign(condition="c", m0_seed=0, seed=0))).iloc[0]
    assert run["no_label"] == unlabelled / 4
    assert run["self"] == 1.0  # over items with a label
    assert run["agreement"] == 1.0


def test_flags_are_scored_by_class_against_the_label_source(four):
    """S stays, stays, changes, changes; explanations say stays, changes, changes, nothing."""
    said = ["stays at A", "changes to B", "changes to A", "?"]
    frame = make_rows(four, said, ([0] * 4, [0] * 4), ([0, 1, 0, 1], [0, 1, 1, 0]))
    scores = flags.flag_scores(frame)
    assert scores == {
        "flag_balanced": 0.5,
        "flag_stays_precision": 1.0,
        "flag_stays_recall": 0.5,
        "flag_stays_f1": pytest.approx(2 / 3),
        "flag_changes_precision": 0.5,
        "flag_changes_recall": 0.5,
        "flag_changes_f1": 0.5,
    }
    constant = make_rows(four, said, ([0] * 4, [0] * 4), ([0] * 4, [0] * 4))
    assert np.isnan(flags.flag_scores(constant)["flag_balanced"])
    assert flags.not_learnt(pd.Series([0.64, 0.65, np.nan])).tolist() == [True, False, False]


def test_a_summary_of_a_run_alone_has_no_excess(four):
    still = ([0] * 4, [0] * 4)
    table = summaries.summarise(
        measures.with_measures(frame_of(four, [(0, 0, ["stays at A"] * 4, still, still)]))
    )
    assert np.isnan(table.loc[0, "excess"])
    assert table.loc[0, ["self", "agreement", "divergent_share"]].tolist() == [1.0, 1.0, 0.0]
    assert table.loc[0, ["seeds", "items", "runs", "collapsed"]].tolist() == [1, 4, 1, 0]


def test_runs_and_summaries_have_the_columns_of_the_committed_tables(four, monkeypatch):
    still = ([0] * 4, [0] * 4)
    rows = measures.with_measures(frame_of(four, [(m, 0, ["stays at A"] * 4, still, still) for m in (0, 1)]))
    monkeypatch.delenv("COUPLING_FIGURES")
    committed = files.tables_dir() / "tiny" / "headline"

    def header(name):
        return (committed / f"{name}.csv").read_text().split("\n")[0].split(",")

    assert [*summaries.per_run(rows), "task"] == header("runs")
    ours, theirs = list(summaries.summarise(rows)), header("summary")
    assert ours == [column for column in theirs if column in ours]
    assert set(theirs) - set(ours) == {
        *("profile", "task", "sweep"),
        *("teacher_difference", "teacher_p", "teacher_runs"),
        *("decided_self", "decided", "mcnemar_p"),
    }
