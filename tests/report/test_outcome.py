"""What a user is told at the end: own numbers beside the committed ones and their intervals."""

from dataclasses import replace

import pandas as pd
import pytest
from coupling import cli, files
from coupling.analysis import tables
from coupling.analysis.tables import renewal
from coupling.report import answers, batches, outcome
from coupling.spec import SpecError
from coupling.sweep import plan, read_sweep
from own_sweeps import own_sweep
from typer.testing import CliRunner


@pytest.fixture
def committed(monkeypatch):
    """The committed tables of a sweep of three conditions."""
    monkeypatch.delenv("COUPLING_FIGURES")
    return tables.read("tiny", "rank")


@pytest.fixture
def own(committed):
    """A function that makes committed tables the user's own, with some columns of their summary replaced."""

    def write(runs=None, **columns):
        keys = committed.keys | {"runs": committed.keys["runs"][:runs]}
        mine = replace(committed, summary=committed.summary.assign(**columns), keys=keys)
        tables.write(mine, tables.folder("tiny", "rank", own=True))
        return mine

    return write


def test_own_numbers_stand_beside_the_committed_ones_with_what_the_figures_show(own):
    mine = own()
    said = outcome.said("tiny", "rank")
    assert f"rank, your runs: 15 runs of 5 M0s; tables in {tables.folder('tiny', 'rank', own=True)}" in said
    assert "beside the committed runs of the same seeds: 15 runs of 5 M0s" in said
    row = mine.summary.iloc[0]
    shown = f"{row['gap']:.3f} +{row['gap']:.3f} {row['gap_low']:.3f} to {row['gap_high']:.3f} +yes"
    assert any(_matches(shown, line) for line in said.splitlines())
    found = answers.of_tables("curve", tables.read("tiny", "rank", own=True)).found
    last = [f"  {sentence.replace('`', '')}" for sentence in found]
    image = files.results_dir() / "figures" / "tiny" / "rank-curve.png"
    assert said.splitlines()[-len(found) - 1 :] == [str(image), *last]


def _matches(columns, line):
    return columns.replace(" +", " ") in " ".join(line.split())


def test_runs_of_fewer_seeds_are_compared_with_the_committed_runs_of_these_seeds(committed):
    whole = tables.read("tiny", "teacher_matrix")
    specs = [spec for _, spec in plan("tiny", "teacher_matrix")]
    keys = pd.DataFrame(whole.keys["runs"])
    mine = renewal.part(whole, keys[keys["m0_seed"] < 2], specs)
    tables.write(mine, tables.folder("tiny", "teacher_matrix", own=True))
    held, said = outcome.verified("tiny", "teacher_matrix")
    assert held
    assert "14 runs of 2 M0s against 14 runs of 2 M0s committed, of the same seeds" in said
    assert len(mine.summary) == len(whole.summary)
    assert (mine.summary["self"] != whole.summary["self"]).all()


def test_all_runs_of_a_sweep_as_a_part_of_it_have_its_summary(committed):
    whole = tables.read("tiny", "confirm")
    specs = [spec for _, spec in plan("tiny", "confirm")]
    again = renewal.part(whole, pd.DataFrame(whole.keys["runs"]), specs).summary
    columns = [*tables.SUMMARY, "collapsed"]
    pd.testing.assert_frame_equal(again[columns], whole.summary[columns])


def test_a_part_of_a_sweep_of_shifts_has_the_summary_of_its_own_runs(committed):
    whole = tables.read("tiny", "shift")
    keys = pd.DataFrame(whole.keys["runs"])
    mine = renewal.part(whole, keys[keys["m0_seed"] < 2], [spec for _, spec in plan("tiny", "shift")])
    runs = mine.items.groupby(["task", "condition", "m0_seed", "seed"], sort=False)["self"].mean()
    rows = runs.groupby(["task", "condition"]).mean()
    found = mine.summary.set_index(["task", "condition"])["self"]
    assert found.to_dict() == pytest.approx(rows.to_dict())
    assert set(mine.runs["m0_seed"]) == {0, 1}


def test_a_part_is_compared_with_the_sweep_that_it_is_a_part_of(own, monkeypatch):
    part, mine = "quick", own(gap=[0.5, 0.0, 0.0])
    of_rank = read_sweep(part).model_copy(update={"part_of": "rank"})
    monkeypatch.setattr(outcome.study, "load", lambda name: of_rank)
    tables.write(mine, tables.folder("tiny", part, own=True))
    assert "beside the committed runs of the same seeds: 15 runs of 5 M0s" in outcome.said("tiny", part)
    held, said = outcome.verified("tiny", part)
    assert not held
    assert f"{part}, hint_qa, 4: gap 0.500 is not in" in said


def test_the_numbers_of_a_sweep_of_ones_own_stand_alone(own, tmp_path):
    mine, path = own(), str(own_sweep(tmp_path))
    tables.write(mine, tables.folder("tiny", path))
    said = outcome.said("tiny", path)
    assert "nothing is committed of it to compare with" in said
    assert _matches(f"gap {mine.summary.iloc[0]['gap']:.3f}", said)
    assert "inside" not in said


def test_conditions_that_are_not_committed_are_named(own):
    own(condition=["4", "32", "512"])
    assert "nothing is committed of: hint_qa, 512" in outcome.said("tiny", "rank")


def test_numbers_that_lie_in_their_intervals_are_verified(own):
    own()
    held, said = outcome.verified("tiny", "rank")
    assert held
    assert said.endswith("all 15 numbers lie in their committed 95 % interval")
    assert "15 of your runs have the spec and the seeds of committed ones" in said
    assert "differ by at most 0.0000" in said


def test_a_number_outside_is_named_and_its_meaning_is_said(own):
    mine = own(gap=[0.5, 0.0, 0.0])
    held, said = outcome.verified("tiny", "rank")
    assert not held
    row = mine.summary.iloc[0]
    between = f"{row['gap_low']:.3f} to {row['gap_high']:.3f}"
    assert f"rank, hint_qa, {row['condition']}: gap 0.500 is not in {between}" in said
    assert "1 in 20 by chance, here about 0.8 of 15" in said


def test_only_what_is_committed_can_be_verified_and_that_is_said_before_any_compute(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "run", lambda batch: pytest.fail("computed"))
    for sweep in ("rank", str(own_sweep(tmp_path))):
        done = CliRunner().invoke(cli.app, ["verify", "--sweep", sweep])
        assert isinstance(done.exception, SpecError)
        assert "nothing is committed in" in str(done.exception)


@pytest.mark.parametrize(("code", "gap", "exits"), [(0, None, 0), (0, 0.5, 1), (1, None, 1)])
def test_the_exit_code_of_verify_is_1_where_a_number_lies_outside_or_a_run_is_not_done(
    own, monkeypatch, code, gap, exits
):
    own(**({} if gap is None else {"gap": gap}))
    asked = []
    monkeypatch.setattr(batches, "run", lambda batch: asked.append(batch) or code)
    done = CliRunner().invoke(cli.app, ["verify", "--sweep", "rank", "--force"])
    assert done.exit_code == exits, done.output
    assert (asked[0].force, asked[0].reuse) == (True, False)
    assert ("lie in their committed" in done.stdout) == (exits == 0)
