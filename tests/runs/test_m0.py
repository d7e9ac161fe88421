"""The M0 that is held in memory, and the one that is prepared."""

import weakref

import pytest
import torch
from coupling import files, runs
from coupling.models import Loaded, ModelError
from coupling.runs import folders
from coupling.training import preparation
from made_results import finished


def test_an_m0_is_gone_before_another_is_loaded(spec, tmp_path, monkeypatch):
    alive = []

    def load(source, dtype, revision):
        assert not [m for m in alive if m()]
        model = torch.nn.Linear(1, 1)
        model.itself = [model]
        alive.append(weakref.ref(model))
        return Loaded(model, None, torch.float32)

    monkeypatch.setattr("coupling.runs.m0.load_from", load)
    finished(folders.m0_folder(spec), "m0")
    organism, real = spec, spec.model_copy(update={"m0_steps": 0, "model": str(tmp_path)})
    models = runs.Models()
    for asked in (organism, organism, real, organism):
        models.load(asked)
    assert len(alive) == 3
    models.let_go()
    assert not [m for m in alive if m()]


def test_an_m0_is_taken_from_the_checkpoint_nearest_to_a_share_of_its_steps(spec, monkeypatch):
    early = spec.model_copy(update={"m0_checkpoint_every": 4, "m0_checkpoint": 0.45})
    result = runs.prepared(early)
    assert sorted(int(path.name) for path in (result.folder / "checkpoints").iterdir()) == [0, 4, 8]
    assert result.manifest["steps"] == len(result.table("history")) == 10
    asked = []
    monkeypatch.setattr("coupling.runs.m0.load_from", lambda source, *of: asked.append(source))
    for share in (0.0, 0.45, 1.0):
        runs.Models().load(early.model_copy(update={"m0_checkpoint": share}))
    assert [path.name for path in asked] == ["0", "4", "model"]


def test_the_system_message_is_no_part_of_what_is_held(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "coupling.runs.m0.load_from", lambda *of: Loaded(torch.nn.Linear(1, 1), None, torch.float32)
    )
    plain = spec.model_copy(update={"m0_steps": 0, "model": str(tmp_path)})
    models = runs.Models()
    first, second = models.load(plain), models.load(plain.model_copy(update={"system": "Be brief."}))
    assert (first.system, second.system) == ("", "Be brief.")
    assert first.model is second.model


def test_an_m0_that_does_not_reach_its_regime_is_an_error_with_a_way_out(spec):
    bad = spec.model_copy(update={"m0_knowledge": 1.0})
    with pytest.raises(ModelError, match=r"m0_knowledge=1.0.*raise m0_steps"):
        runs.base(bad)
    assert not folders.complete(folders.m0_folder(bad))
    assert not list(files.results_dir().rglob(folders.MANIFEST))


def test_a_damaged_checkpoint_of_an_m0_under_preparation_is_made_again(spec, tmp_path, monkeypatch):
    spec = spec.model_copy(update={"m0_checkpoint_every": 4})
    monkeypatch.setattr("coupling.training.preparation.SECONDS", -1)  # a checkpoint at every step
    with monkeypatch.context() as patch:
        patch.setenv("COUPLING_RESULTS", str(tmp_path / "elsewhere"))
        want = runs.prepared(spec).manifest["files"]
    real, steps = preparation.train_step, []

    def train_step(course):
        if len(steps) == 7:
            raise KeyboardInterrupt
        steps.append(course.step)
        real(course)

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "train_step", train_step)
        with pytest.raises(KeyboardInterrupt):
            runs.prepared(spec)
    weights = folders.m0_folder(spec) / "checkpoints" / "4" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    assert runs.prepared(spec).manifest["files"] == want
