"""Forgetting: damaged results alone, or everything that a sweep needs."""

from contextlib import ExitStack

import pytest
from coupling import files, runs
from coupling.runs import folders, forget
from made_results import finished


@pytest.fixture
def made(spec):
    """A run and its M0 and base, as folders with files that hold nothing; no compute."""
    found = [folders.m0_folder(spec), folders.base_folder(spec), folders.run_folder(spec)]
    for folder in found:
        finished(folder, {"m0": "m0", "base": "base"}.get(folder.name.split("-")[0], "explain"))
    return found


def test_damaged_results_lose_their_manifest_and_nothing_else_is_touched(spec, made):
    _, base, run = made
    assert forget.forget_damaged([spec]) == []
    (base / "behaviours.parquet").write_text("damaged")
    assert forget.forget_damaged([spec]) == [base]
    assert not (base / folders.MANIFEST).exists()
    assert (base / "behaviours.parquet").exists()
    assert folders.complete(run)
    assert forget.forget_damaged([spec]) == []


def test_everything_that_a_run_needs_is_forgotten_and_other_runs_are_kept(spec, made):
    other = folders.run_folder(spec.model_copy(update={"kl_weight": 0.0}))
    finished(other)
    pushed = spec.model_copy(update={"shift": "up"})
    for path in (*folders.shared_files(spec), *folders.shared_files(pushed)):
        files.write_json(path, {})
    assert forget.forget([spec]) == made
    assert all([path.name for path in folder.iterdir()] == [".lock"] for folder in made)
    assert not any(path.exists() for path in folders.shared_files(spec))
    assert folders.complete(other)
    assert forget.forget([spec.model_copy(update={"m0_seed": 9})]) == []


def test_a_result_that_is_being_computed_is_waited_for(spec, made, monkeypatch):
    waited = []
    with ExitStack() as computing:
        computing.enter_context(folders.locked(made[1]))

        def say(line):
            assert (made[1] / "behaviours.parquet").exists()
            waited.append(line)
            computing.close()

        monkeypatch.setattr(folders, "say", say)
        assert forget.forget([spec]) == made
    assert len(waited) == 1
    assert str(made[1]) in waited[0]
    assert not (made[1] / "behaviours.parquet").exists()


def test_a_shift_has_shared_files_of_its_own_items(spec):
    pushed = spec.model_copy(update={"shift": "up"})
    runs.explain(pushed)
    shared = files.results_dir() / "tiny" / "behaviours"
    assert len(list(shared.glob("*.parquet"))) == 2
    forget.forget([pushed])
    assert list(shared.iterdir()) == []
