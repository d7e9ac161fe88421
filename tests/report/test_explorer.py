"""The explorer's data say what the published rows say, and hold no text that must not be shown."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from coupling import files, runs
from coupling.report import explorer
from coupling.report.explorer import data as making
from coupling.runs import folders, records
from coupling.spec import SpecError, make_spec

ROOT = Path(__file__).parents[2]


@pytest.fixture
def committed():
    """Of what is committed: the tables of one sweep, and the records of another for one M0 and task."""
    where = files.tables_dir() / "tiny"
    (where / "confirm" / "records").mkdir(parents=True)
    (where / "rank").symlink_to(ROOT / "figures/data/tiny/rank")
    found = sorted((ROOT / "figures/data/tiny/confirm/records").glob("aita-m10-*-kl1-*"))[:3]
    assert len(found) == 3
    for record in found:
        (where / "confirm" / "records" / record.name).symlink_to(record)
    return found


def label(choices):
    """The label that choices on x and without the cue make true, as (changes, answer)."""
    return None if min(choices) < 0 else (int(choices[0] != choices[1]), choices[1])


def test_records_are_shown_with_every_evaluation_as_their_rows_have_them(committed):
    (found,) = explorer.datasets("tiny", "confirm")
    assert (found["task"], found["sweep"], len(found["runs"])) == ("aita", "confirm", 3)
    (items,) = found["items"]
    assert len(items) == explorer.ITEMS
    for run in found["runs"]:
        assert run["record"]
        (record,) = (path for path in committed if path.name.endswith(run["key"]))
        rows = files.read_table(record / "rows.parquet").set_index(["step", "id"])
        assert run["steps"] == sorted(rows.index.get_level_values("step").unique())
        compared = 0
        for item, (source, base, said, before, after) in zip(items, run["rows"], strict=True):
            for step, entry in zip(run["steps"], said, strict=True):
                assert (entry is None) == ((step, item["id"]) not in rows.index)
                if entry is None:
                    continue
                row = rows.loc[(step, item["id"])]
                stated = tuple(entry[2:])
                assert (stated == label(entry[:2])) == row["self"]
                assert (stated == label(source)) == row["target"]
                assert label(base) == label([row["base_x"], row["base_cf"]])
                compared += 1
            probabilities = [np.exp([row[f"logp_{side}_{k}"] for k in range(2)]) for side in ("x", "cf")]
            assert np.allclose(after, 100 * np.array(probabilities), atol=0.5)
            assert [percent[choice] for percent, choice in zip(before, base, strict=True)] == list(
                map(max, before)
            )
        assert compared > 2 * explorer.ITEMS
        assert run["curve"]["step"] == run["steps"]


def test_texts_are_those_of_the_items_that_the_rows_are_of(committed):
    (found,) = explorer.datasets("tiny", "confirm")
    record = folders.read_manifest(committed[0], records.RECORD)
    known = {item.id: item for item in runs.items_of(making.Spec(**record["spec"]))[1]}
    for item in found["items"][0]:
        made = known[item["id"]]
        assert item["x"].replace(item["cue"], "") == made.counterfactual_prompt
        assert item["x"].count(item["cue"]) == 1
        assert (item["choices"], item["contents"]) == (list(made.choices), list(made.contents))


def test_tables_stand_in_where_there_is_no_record(committed):
    (found,) = explorer.datasets("tiny", "rank")
    table = files.read_table(ROOT / "figures/data/tiny/rank/items.parquet")
    curves = files.read_table(ROOT / "figures/data/tiny/rank/runs.csv")
    assert len(found["runs"]) == len(table.groupby(["condition", "m0_seed", "seed"]))
    for run in found["runs"]:
        assert not run["record"]
        assert len(run["steps"]) == 1
        assert all(row[3] is row[4] is None for row in run["rows"])
        names = ["condition", "m0_seed", "seed"]
        own = table.set_index(names).loc[tuple(run[name] for name in names)].head(explorer.ITEMS)
        divergent = [label(row[2][0][:2]) != label(row[0]) for row in run["rows"]]
        codes = [
            (own["x"] != own["cf"]) * 10 + own["cf"],
            (own["target_x"] != own["target_cf"]) * 10 + own["target_cf"],
        ]
        assert sum(divergent) == (codes[0] != codes[1]).sum()
        mine = curves.set_index(names).loc[tuple(run[name] for name in names)]
        assert run["curve"]["self"] == mine.sort_values("step")["self"].round(4).tolist()


def test_texts_of_posts_and_of_a_users_items_are_never_shown(tmp_path):
    posts, items = tmp_path / "posts.jsonl", ROOT / "examples/items.jsonl"
    posts.write_text(
        "".join(
            json.dumps({"id": str(k), "title": "T", "body": f"B{k}.", "verdict": "YTA"}) + "\n"
            for k in range(40)
        )
    )
    sizes = {"train_items": 8, "test_items": 8}
    assert making.texts_of(make_spec("tiny", task="aita", **sizes))
    assert making.texts_of(make_spec("medium", task="aita", posts=str(posts), **sizes)) is None
    assert making.texts_of(make_spec("medium", task=f"file:{items}", **sizes)) is None


def test_rows_that_do_not_fit_their_items_are_an_error(committed, monkeypatch):
    monkeypatch.setattr(
        making, "texts_of", lambda spec: runs.items_of(spec.model_copy(update={"world_seed": 9}))[1]
    )
    with pytest.raises(files.StoreError, match="as it is made now, is not the one"):
        explorer.datasets("tiny", "confirm")


def test_what_is_not_there_is_named(committed):
    with pytest.raises(
        files.StoreError, match="nothing is published of headline at tiny: choose one of tiny/confirm"
    ):
        explorer.datasets("tiny", "headline")
    with pytest.raises(SpecError, match="unknown sweep 'headlin'"):
        explorer.datasets("tiny", "headlin")


def test_a_notebook_shows_the_page_whole_and_loads_nothing(committed):
    shown = explorer.show("tiny", "confirm")
    assert shown.page.count('couplingExplorer.take(0, {"profile":"tiny"') == 1
    assert "src=" not in shown.page.replace("{ src: entry.file", "")
    assert "@import" not in shown.page
    framed = shown._repr_html_()
    assert framed.startswith("<iframe title=")
    assert framed.count("<") == 2  # the page inside is escaped


def test_what_is_shown_is_counted_as_the_rows_have_it(committed):
    counts = explorer.show("tiny", "confirm").counts.iloc[0]
    rows = [files.read_table(path / "rows.parquet") for path in committed]
    last = pd.concat(frame[frame["step"] == frame["step"].max()].head(explorer.ITEMS) for frame in rows)
    codes = [(last[x] != last[cf]) + 2 * last[cf] for x, cf in (("x", "cf"), ("target_x", "target_cf"))]
    divergent = last[codes[0] != codes[1]]
    assert (counts["runs"], counts["items"], counts["divergent"]) == (3, len(last), len(divergent))
    assert (counts["own"], counts["source"]) == (divergent["self"].sum(), divergent["target"].sum())
    assert counts["own"] + counts["source"] + counts["neither"] == len(divergent)
    assert f"on {len(divergent)} of {len(last)} items of 3 runs" in explorer.show("tiny", "confirm").text.data


def test_a_call_can_stand_in_a_page():
    assert (
        explorer.call("take", 0, {"x": "</script>"}) == 'couplingExplorer.take(0, {"x":"\\u003c/script>"});'
    )


def test_the_site_shows_sweeps_that_are_there(committed):
    assert explorer.shown() == [("tiny", "confirm")]
