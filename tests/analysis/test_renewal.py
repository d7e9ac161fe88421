"""Tables that are renewed from their items are those that the runs themselves give."""

import numpy as np
import pandas as pd
import pytest
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.analysis.tables import renewal


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")


def assert_same(ours, theirs):
    """Check that two frames are the same but for rounding, and where a number is missing."""
    assert list(ours) == list(theirs)
    pd.testing.assert_frame_equal(
        ours.reset_index(drop=True), theirs.reset_index(drop=True), check_dtype=False, rtol=1e-9
    )


def test_items_give_the_tables_that_the_whole_rows_gave():
    """Of the real model both are there. What was taken away comes back from the items of the final step."""
    whole = tables.read("medium", "learning_rate")
    specs = [spec for _, spec in sweeps.plan("medium", "learning_rate")]
    new = ["preference", "no_label", "self_flag", "gap_content", "flag_balanced"]
    runs = whole.runs.drop(columns=new)
    lost = tables.Tables(**(vars(whole) | {"runs": runs, "summary": whole.summary.drop(columns="agreement")}))
    found = renewal.from_items(lost, specs)
    assert_same(found.summary, whole.summary)
    assert_same(found.regions, whole.regions)
    final = whole.runs["step"] == whole.runs["step"].max()
    assert_same(found.runs[final], whole.runs[final])
    assert found.runs.loc[~final, new].isna().all(axis=None)
    assert found.runs.loc[~final, "self"].tolist() == whole.runs.loc[~final, "self"].tolist()


def test_renewed_tables_are_the_committed_ones():
    again = renewal.renew("tiny", "rank")
    for name in ("runs", "summary", "regions", "preference"):
        assert_same(getattr(again, name).fillna(np.nan), getattr(tables.read("tiny", "rank"), name))


def test_kinds_without_labels_are_those_that_the_sweep_holds_out():
    held_out = tables.read("tiny", "held_out")
    pairs = held_out.preference.set_index("region")
    regions = held_out.regions.set_index(["task", "condition", "region"])
    of = pairs[(pairs["task"] == "refusal") & (pairs["condition"] == "labels in half of the kinds")]
    told = regions.loc[("refusal", "labels in half of the kinds", "held out"), "preference"]
    assert of.loc["held out", "preference"].mean() == pytest.approx(told)


def test_items_without_a_label_mark_a_committed_run_as_collapsed():
    runs = tables.read("tiny", "headline").runs
    last = runs[(runs["condition"] == "KL off") & (runs["task"] == "refusal") & runs["no_label"].notna()]
    assert len(last) == 10
    assert last["collapsed"].str.contains("items without a label").all()
