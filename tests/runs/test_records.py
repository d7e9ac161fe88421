"""Published records: small, without any text, and as good as results for tables."""

import shutil

import pandas as pd
import pytest
from conftest import SMALL
from coupling import files, runs
from coupling.analysis import tables
from coupling.runs import folders, graph, rates, records
from coupling.spec import make_spec


@pytest.fixture(scope="module")
def plan():
    """Two explainers of one M0."""
    return [(c, make_spec("tiny", **SMALL, kl_weight=k)) for c, k in (("KL on", 1.0), ("KL off", 0.0))]


@pytest.fixture(scope="module")
def made(plan, tmp_path_factory):
    """The results of these explainers, made once."""
    top = tmp_path_factory.mktemp("finished") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUPLING_RESULTS", str(top))
        for _, one in plan:
            runs.explain(one)
    return top


@pytest.fixture
def specs(plan, made):
    """The finished explainers, with a copy of their results where results are looked for."""
    shutil.copytree(made, files.results_dir())
    return [spec for _, spec in plan]


def written(where):
    return {path.name: path.read_bytes() for path in where.iterdir() if path.is_file()}


def test_tables_of_records_are_those_of_results_and_records_hold_no_text(plan, specs):
    where = tables.folder("tiny", "headline")
    tables.write(tables.collect("headline", plan), where)
    before = written(where)
    said = runs.explain(specs[0]).table("rows")["text"]
    prompts = [item.prompt for item in runs.items_of(specs[0])[1]]
    published = records.publish("headline", specs)
    assert len(published) == 4  # two runs, their base and their M0
    assert [path.name for path in published[3].iterdir()] == [folders.MANIFEST]  # no weights
    assert records.publish("headline", specs) == []
    shutil.rmtree(files.results_dir())
    assert records.find(folders.run_folder(specs[0])) in published
    tables.write(tables.collect("headline", plan), where)
    assert written(where) == before
    for path in (path for folder in published for path in folder.glob("*.parquet")):
        frame = files.read_table(path)
        words = {str(v) for c in frame if not pd.api.types.is_numeric_dtype(frame[c]) for v in frame[c]}
        assert words or path.stem == "history"
        assert not words & set(prompts)
        assert path.stem != "rows" or not words & set(said)


def test_the_record_of_an_m0_tells_how_long_its_preparation_takes_where_none_was_made(specs):
    records.publish("headline", specs)
    shutil.rmtree(files.results_dir())
    m0 = graph.m0(specs[0])
    assert rates.Rates("tiny").expected(m0).seconds > 0
    assert not folders.complete(m0.folder)  # it is to be prepared all the same


def test_a_damaged_record_is_no_result(plan, specs):
    published = records.publish("headline", specs)
    shutil.rmtree(files.results_dir())
    folder = folders.run_folder(specs[0])
    (next(p for p in published if p.name == folder.name) / "rows.parquet").write_bytes(b"no parquet")
    assert records.find(folder) is None
    named = r"1 of 2 runs have not finished, for instance .*records.*rows\.parquet is missing or damaged"
    with pytest.raises(files.StoreError, match=named):
        tables.collect("headline", plan)


def test_some_runs_here_and_the_others_published_give_the_same_tables(plan, specs):
    where = tables.folder("tiny", "headline")
    tables.write(tables.collect("headline", plan), where)
    before = written(where)
    records.publish("headline", [specs[0]])
    folders.clear(folders.run_folder(specs[0]))
    tables.write(tables.collect("headline", plan), where)
    assert written(where) == before


def test_a_damaged_record_is_written_again_and_healed(specs, capfd):
    published = records.publish("headline", specs)
    before = [written(path) for path in published]
    (published[0] / "untrained.parquet").write_bytes(b"no parquet")
    (published[1] / folders.MANIFEST).write_text("{")
    (published[2] / "rows.parquet").unlink()
    assert sorted(records.publish("headline", specs)) == sorted(published[:3])
    assert [written(path) for path in published] == before
    assert capfd.readouterr().err.count("is damaged: it is written again") == 3
    carried = files.figures_dir().with_name("carried")
    shutil.copytree(files.tables_dir(), carried)
    (published[2] / "rows.parquet").write_bytes(b"no parquet")
    assert records.take_in("headline", specs, carried) == [published[2]]
    assert [written(path) for path in published] == before


def test_records_have_a_limit_and_need_a_finished_run(specs, monkeypatch):
    with pytest.raises(records.PublishError, match="none of the 1 runs has finished"):
        records.publish("headline", [specs[0].model_copy(update={"seed": 9})])
    monkeypatch.setattr(records, "MOST_MB", 0.001)
    with pytest.raises(records.PublishError, match="publish fewer runs"):
        records.publish("headline", specs)
    assert not list(files.tables_dir().glob("*/*/records/*"))
