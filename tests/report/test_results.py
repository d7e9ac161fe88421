"""The step that changes what is committed says what it replaces, and refuses fewer runs."""

import pytest
from coupling import cli, files, runs
from coupling.analysis import tables
from coupling.report import build, overview, results
from coupling.spec import SpecError
from own_sweeps import own_sweep
from typer.testing import CliRunner


@pytest.fixture
def plans(spec, monkeypatch):
    """Two runs of the sweep `rank` at the smallest size, in place of those of its file. One is done."""
    both = [
        (name, spec.model_copy(update={"kl_weight": weight})) for name, weight in (("4", 1.0), ("32", 0.0))
    ]
    monkeypatch.setattr(overview, "plans", lambda *which: iter([("rank", both)]))
    runs.explain(both[0][1])
    return both


def committed(number):
    """Let the committed tables of `rank` rest on so many runs; returns their file."""
    path = tables.folder("tiny", "rank") / "keys.json"
    keys = {"profile": "tiny", "sweep": "rank", "base": [], "runs": [{"task": "hint_qa"}] * number}
    files.write_json(path, keys)
    return path


def test_nothing_is_written_where_a_run_is_missing(plans):
    before = committed(1).read_bytes()
    with pytest.raises(files.StoreError, match="1 of 2 runs have not finished"):
        results.write("tiny", "rank")
    assert committed(1).read_bytes() == before
    assert [path.name for path in tables.folder("tiny", "rank").iterdir()] == ["keys.json"]


def test_tables_of_more_runs_are_not_replaced_unless_forced(plans):
    runs.explain(plans[1][1])
    path = committed(3)
    before = path.read_bytes()
    with pytest.raises(
        SpecError, match=r"3 runs of hint_qa, against 2 runs of hint_qa; nothing was written.*FORCE=1"
    ):
        results.write("tiny", "rank")
    assert path.read_bytes() == before
    (line,) = results.write("tiny", "rank", force=True)
    assert line == f"{path.parent}: 2 runs of hint_qa, in place of 3 runs of hint_qa"
    assert len(tables.read("tiny", "rank").keys["runs"]) == 2  # with checksums that fit
    assert not tables.folder("tiny", "rank", own=True).exists()


def test_a_part_of_a_sweep_has_no_committed_tables_of_its_own():
    with pytest.raises(SpecError, match=r"sweep=start: it is a part of confirm.*ask for sweep=confirm"):
        results.write("tiny", "start")
    assert not tables.folder("tiny", "start").exists()


def test_the_command_says_what_it_replaces_and_draws_all_figures(plans, monkeypatch):
    runs.explain(plans[1][1])
    monkeypatch.setattr(build, "build", lambda: files.figures_dir() / "README.md")
    done = CliRunner().invoke(cli.app, ["results", "--sweep", "rank"])
    assert done.exit_code == 0, done.exception
    assert f"{tables.folder('tiny', 'rank')}: 2 runs of hint_qa, where nothing was" in done.stdout
    assert f"listed in {files.figures_dir() / 'README.md'}" in done.stdout
    assert files.read_sums(tables.folder("tiny", "rank"))


def test_a_sweep_of_ones_own_is_no_part_of_the_committed_results(tmp_path):
    files.tables_dir().mkdir(parents=True)
    with pytest.raises(SpecError, match="a sweep of your own is no part of the study"):
        results.write("tiny", str(own_sweep(tmp_path)))
