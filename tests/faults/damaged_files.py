"""Faults: files that were cut short or have one bit turned over, and files of another version or place."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cases import Case
from laboratory import Study
from prepared import DONE, HALF, M0_HALF, NOTHING, Prepared, Store, organism_words

RUN, M0, BASE, SHARED = (f"results/tiny/{name}" for name in ("hint_qa-m*", "m0-*", "base-*", "behaviours"))
# Artefacts of a finished study: what the fault is called, the file, and whether something else reads it.
FINISHED = (
    ("manifest", f"{RUN}/manifest.json", False),
    ("manifest", f"{BASE}/manifest.json", True),
    ("manifest", f"{M0}/manifest.json", True),
    ("rows (parquet)", f"{RUN}/rows.parquet", False),
    ("history (parquet)", f"{RUN}/history.parquet", False),
    ("adapter", f"{RUN}/adapter/adapter_model.safetensors", False),
    ("adapter", f"{RUN}/adapter/adapter_config.json", False),
    ("behaviours of a base", f"{BASE}/behaviours.parquet", True),
    ("behaviours of a base", f"{BASE}/untrained.parquet", True),
    ("behaviours on training items", f"{SHARED}/*a*.parquet", True),
    ("behaviours on training items", f"{SHARED}/*.json", True),
    ("M0", f"{M0}/model/model.safetensors", True),
    ("M0", f"{M0}/model/config.json", True),
    ("M0", f"{M0}/history.parquet", True),
    ("M0", f"{M0}/checkpoints/0/model.safetensors", True),
    ("tokenizer", f"{M0}/model/tokenizer.json", True),
    ("tokenizer", f"{M0}/model/tokenizer_config.json", True),
)
WORK = (
    ("checkpoint", f"{RUN}/.work/stage-0/checkpoint.safetensors", HALF),
    ("checkpoint", f"{RUN}/.work/stage-1/checkpoint.safetensors", HALF),
    ("checkpoint", f"{M0}/.work/checkpoint.safetensors", M0_HALF),
    ("work part", f"{RUN}/.work/rows-000000.parquet", HALF),
    ("work part", f"{RUN}/.work/rows-000004.parquet", HALF),
    ("work part", f"{RUN}/.work/behaviours-000002.parquet", HALF),
    ("work part", f"{RUN}/.work/behaviours-000004.parquet", HALF),
)
INPUTS = ("model/model.safetensors", "model/tokenizer.json", "model/config.json", "items.jsonl")


def cut(path: Path, seed: int) -> None:
    """Cut a file short, somewhere."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * np.random.default_rng(seed).uniform(0, 0.98))])


def flip(path: Path, seed: int) -> None:
    """Turn one bit of a file over, somewhere."""
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


HARMS: tuple[tuple[str, Callable[[Path, int], None]], ...] = (("truncated", cut), ("bit flipped in", flip))


def _first(study: Study, pattern: str) -> Path:
    return sorted(study.top.glob(pattern))[0]


def _organism(state: str) -> Callable[[Store], Prepared]:
    return lambda store: store.organism(state)


def _own(state: str) -> Callable[[Store], Prepared]:
    return lambda store: store.own(state)


def restored(pattern: str) -> Callable[[Study, Study], None]:
    """Return what brings a file of one's own back, as an error asks for."""

    def heal(study: Study, before: Study) -> None:
        for path in before.top.glob(pattern):
            shutil.copy(path, study.top / path.relative_to(before.top))

    return heal


def harmed(
    harm: Callable[[Path, int], None], pattern: str, seed: int, is_read: bool = False
) -> Callable[[Study], None]:
    """Return what harms a file. The run is removed where the file would not be read otherwise."""

    def inject(study: Study) -> None:
        harm(_first(study, pattern), seed)
        if is_read:
            shutil.rmtree(_first(study, RUN))

    return inject


def finished_files() -> Iterator[Case]:
    """Every artefact of a finished study, cut short and with turned bits."""
    for number, (kind, pattern, is_read) in enumerate(FINISHED):
        for (how, harm), times in zip(HARMS, (1, 2), strict=True):
            for k in range(times):
                inject = harmed(harm, pattern, 100 * number + k, is_read)
                yield Case(f"{how} {kind}", f"{pattern} {k}", _organism(DONE), inject)


def work_files() -> Iterator[Case]:
    """Every artefact that a run is resumed from, cut short, with turned bits, and missing."""
    for number, (kind, pattern, state) in enumerate(WORK):
        for (how, harm), times in zip(HARMS, (1, 2), strict=True):
            for k in range(times):
                inject = harmed(harm, pattern, 10_000 + 100 * number + k)
                yield Case(f"{how} {kind}", f"{pattern} {k}", _organism(state), inject)
        gone = harmed(lambda path, seed: path.unlink(), pattern, 0)
        yield Case(f"missing {kind}", pattern, _organism(state), gone)


def inputs() -> Iterator[Case]:
    """A user's own model and items, cut short and with turned bits: before the first run, and after it."""
    for state in (NOTHING, DONE):
        for number, pattern in enumerate(INPUTS):
            kind = "items of one's own" if pattern == "items.jsonl" else "a model of one's own"
            for how, harm in HARMS:
                inject = harmed(harm, pattern, 20_000 + number)
                label = f"{pattern}, {state}"
                heal, named = restored(pattern), pattern.split("/")[0]
                yield Case(f"{how} {kind}", label, _own(state), inject, heal, named)


def _edited(pattern: str, **change: object) -> Callable[[Study], None]:
    def inject(study: Study) -> None:
        path = _first(study, pattern)
        about = json.loads(path.read_text())
        about |= {name: value(about[name]) if callable(value) else value for name, value in change.items()}
        path.write_text(json.dumps(about))

    return inject


def _under_another_name(study: Study) -> None:
    """Put a run of another seed where the run is looked for, with a manifest of its own that is true."""
    study.run(*organism_words(seed=1))
    mine = next(path for path in study.top.glob(RUN) if "-s0-" in path.name)
    shutil.rmtree(mine)
    next(path for path in study.top.glob(RUN) if "-s1-" in path.name).rename(mine)


def other_versions() -> Iterator[Case]:
    """Manifests of an older and of a newer version, without files, and of another run."""
    for folder in (RUN, BASE, M0):
        for how, by in (("older", -1), ("newer", 1)):
            edit = _edited(f"{folder}/manifest.json", schema=lambda now, by=by: now + by)
            yield Case(
                f"manifest of an {how} schema version".replace("an newer", "a newer"),
                folder,
                _organism(DONE),
                edit,
            )
        for name, value in (("files", {}), ("key", "0" * 12)):
            yield Case(
                f"manifest with another {name!r}",
                folder,
                _organism(DONE),
                _edited(f"{folder}/manifest.json", **{name: value}),
            )
    yield Case("run under another run's name", "seed 1 for seed 0", _organism(DONE), _under_another_name)


def cases() -> list[Case]:
    """List all injections of this module."""
    return [*finished_files(), *work_files(), *inputs(), *other_versions()]
