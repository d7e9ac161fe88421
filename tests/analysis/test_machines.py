"""The comparison of two machines, on made-up bases and on the committed table."""

import pandas as pd
import pytest
from coupling import files
from coupling.analysis import machines
from coupling.runs import folders, records
from made_results import described

NAME = "base-hint_qa-organism-m0-0123456789ab"


def finished(folder, label):
    """A finished base of two items, the second of which has the given label."""
    frame = pd.DataFrame({"id": ["a", "b"], "label": ["stays at A", label], "forced_choice": "stays at A"})
    frame = frame.assign(free="said")
    if folder.parent.name == "records":
        frame = records.with_digests(frame, "free")
    for name in ("untrained", "behaviours"):
        files.write_table(folder / f"{name}.parquet", frame)
    folders.finish(folder, described(folder, "base"))


@pytest.fixture
def two(monkeypatch):
    """A function that makes a base here and a published record of it, each with a label and a CPU."""

    def make(here, there):
        for folder, (label, cpu) in (
            (files.tables_dir() / "tiny" / "headline" / "records" / NAME, there),
            (files.results_dir() / "tiny" / NAME, here),
        ):
            monkeypatch.setattr(folders, "cpu_name", lambda cpu=cpu: cpu)
            finished(folder, label)

    return make


def test_labels_that_differ_are_counted_and_texts_are_compared_by_digest(two):
    two(("changes to B", "one"), ("stays at A", "other"))
    (row,) = machines.table().to_dict("records")
    assert (row["items"], row["labels"], row["forced_choices"], row["texts"]) == (2, 0.5, 0, 0)
    assert (row["cpu"], row["cpu_published"]) == ("one", "other")


def test_items_without_a_label_on_both_machines_are_the_same(two):
    two((None, "one"), (None, "other"))
    assert machines.table()["labels"].tolist() == [0]


def test_results_of_one_cpu_are_not_compared(two):
    two(("changes to B", "one"), ("stays at A", "one"))
    assert machines.table().empty


def test_other_items_are_an_error():
    frame = pd.DataFrame({"id": ["a"], "label": "", "forced_choice": "", "free": ""})
    with pytest.raises(ValueError, match="same items"):
        machines.other_share(frame, frame.assign(id="b"))


def test_committed_results_of_two_machines_agree_within_the_tolerance():
    found = files.read_table(files.root() / "figures" / "data" / f"{machines.TABLE}.parquet")
    assert (found["cpu"] != found["cpu_published"]).all()
    assert (found["labels"] <= machines.TOLERANCE).all()
