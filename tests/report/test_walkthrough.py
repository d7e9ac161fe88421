"""The method on one item, from committed rows: ticks, gap and preference by hand are those of the study."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from coupling import files
from coupling.analysis import tables
from coupling.report import walkthrough

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pair(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    return walkthrough.example()


def test_what_is_ticked_off_is_what_the_texts_say(pair):
    for seed in walkthrough.PAIR:
        ticked = walkthrough.ticked(pair, seed)
        assert len(ticked) == 2000
        assert (ticked["self"] == (ticked["explanation"] == ticked["label L(M_t)"])).all()
        assert (ticked["target"] == (ticked["explanation"] == ticked["label L(S)"])).all()
        assert (ticked["divergent"] == (ticked["label L(M_t)"] != ticked["label L(S)"])).all()


def test_the_gap_by_hand_is_that_of_the_table_of_runs(pair):
    runs = tables.read("tiny", "confirm").runs
    for seed in walkthrough.PAIR:
        mine = runs[(runs["task"] == "hint_qa") & (runs["condition"] == "KL on") & (runs["m0_seed"] == 10)]
        last = mine[(mine["seed"] == seed)].sort_values("step").iloc[-1]
        ticked = walkthrough.ticked(pair, seed)
        assert ticked["self"].mean() - ticked["target"].mean() == pytest.approx(last["gap"])
        assert ticked["divergent"].mean() == pytest.approx(last["divergent"])


def test_the_preference_by_hand_is_the_measured_one(pair):
    halves = walkthrough.halves(pair)
    assert halves["share"].mean() == pytest.approx(walkthrough.measured_preference(pair))
    pairs = tables.read("tiny", "confirm").preference
    mine = pairs[(pairs["task"] == "hint_qa") & (pairs["condition"] == "KL on") & (pairs["m0_seed"] == 10)]
    last = mine[(mine["region"] == "all") & (mine["step"] == mine["step"].max())]
    row = last.set_index(["first", "second"]).loc[walkthrough.PAIR]
    assert halves["items"].tolist() == [row["first_items"], row["second_items"]]
    assert halves["share"].tolist() == pytest.approx([row["first_half"], row["second_half"]])


def test_the_telling_item_is_one_that_one_run_alone_has_left(pair):
    shown = walkthrough.whole(pair, walkthrough.telling(pair)).set_index("step")["text"]
    label = shown["fixed label L(S), from M0"]
    assert shown["run 0, its own label L(M_t)"] != label == shown["run 1, its own label L(M_t)"]
    assert [shown[f"run {seed}, self: E(M_t) is L(M_t)"] for seed in (0, 1)] == [walkthrough.TICK] * 2
    assert shown["run 0, target: E(M_t) is L(S)"] == walkthrough.CROSS
    assert "«Hint:" in shown["x, the input with its cue C"]
    assert "Hint" not in shown["x without C"]


def test_items_of_the_made_up_tasks_are_shown_with_their_cue():
    shown = walkthrough.items_of_tasks("aita", "refusal", "jabberwocky")
    assert set(shown["task"]) == {"aita", "refusal", "jabberwocky"}
    marked = shown.loc[shown["part"] == "x, the input with its cue C", "text"]
    assert marked.str.contains("«.+»").all()


def test_tables_of_other_runs_are_no_example(monkeypatch):
    assert not walkthrough.is_there()
    where = files.tables_dir() / "tiny" / "confirm"
    where.mkdir(parents=True)
    files.write_json(where / "keys.json", {"profile": "tiny", "sweep": "confirm", "base": [], "runs": []})
    assert not walkthrough.is_there()
    with pytest.raises(files.StoreError, match="has no explainers 0 and 1 of M0 10 on hint_qa"):
        walkthrough.example()
    monkeypatch.delenv("COUPLING_FIGURES")
    assert walkthrough.is_there()


def test_the_walkthrough_needs_no_torch():
    code = (
        "import sys; from coupling.report import figures, notebooks, walkthrough as w; pair = w.example(); "
        "w.whole(pair, w.telling(pair)); w.halves(pair); w.items_of_tasks('aita'); "
        "sys.exit('torch' in sys.modules)"
    )
    environment = os.environ | {"COUPLING_FIGURES": str(ROOT / "figures")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
