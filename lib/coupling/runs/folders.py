"""Folders of results: where each result is kept, when it is complete, and what made it.

Every result has a folder `results/<profile>/<slug>-<key>/`. Its manifest is written last. `fault` says when a
folder is complete: its manifest is whole and is that of this folder, it names every file that a result of its
kind has, and every file that it names has the checksum that stands beside the name.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from coupling.checksums import sha256, sha256_once, wrong_file
from coupling.files import (
    StoreError,
    finite,
    read_json,
    results_dir,
    root,
    say,
    short,
    write_json,
    writing,
)
from coupling.spec import SCHEMA_VERSION, Spec, key

MANIFEST = "manifest.json"
# The executed notebook in the folder of a run. It is the log of the run, and no part of the result.
NOTEBOOK = "notebook.ipynb"
# The environment variable with the git commit of code that was copied without its repository. A + at its end
# says that the code had uncommitted changes.
CARRIED = "COUPLING_COMMIT"
# By stage: the files that a result must have.
RESULT = {
    "m0": ("model/config.json", "model/model.safetensors", "model/tokenizer.json", "history.parquet"),
    "base": ("behaviours.parquet", "untrained.parquet"),
    "explain": ("adapter/adapter_model.safetensors", "history.parquet", "rows.parquet"),
    "circuits": ("effects.parquet", "interventions.parquet", "said.parquet", "sites.parquet"),
}
PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "safetensors",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
)


def m0_folder(spec: Spec) -> Path:
    """The folder of the prepared M0 of a spec, with its checkpoints. All tasks share it."""
    whole = spec.model_copy(update={"m0_checkpoint": 1.0, "explainer": -1})
    return _folder(spec, f"m0-{_model_slug(spec)}-m{spec.m0_seed}-{key(whole, 'm0')}")


def base_folder(spec: Spec) -> Path:
    """The folder of M0's behaviours on the test items of a spec."""
    name = f"base-{_task_slug(spec)}-{_model_slug(spec)}-m{spec.m0_seed}-{key(spec, 'base')}"
    return _folder(spec, name)


def run_folder(spec: Spec) -> Path:
    """The folder of the explainer of a spec."""
    return _folder(spec, f"{_run_slug(spec)}-{key(spec, 'explain')}")


def circuits_folder(spec: Spec) -> Path:
    """The folder of the circuits of the explainer of a spec."""
    return _folder(spec, f"circuits-{_run_slug(spec)}-{key(spec, 'circuits')}")


def shared_file(spec: Spec, suffix: str) -> Path:
    """A file that all explainers with the same M0 and the same training items share.

    ".parquet" holds the behaviours of M0 on the training items, ".safetensors" its replies, and ".json" how
    well a shallow rule predicts its labels.
    """
    return results_dir() / spec.profile / "behaviours" / f"{key(spec, 'labels')}{suffix}"


def shared_files(spec: Spec) -> list[Path]:
    """Every file that `shared_file` can name for a spec, whether it is there or not."""
    return [shared_file(spec, suffix) for suffix in (".parquet", ".safetensors", ".json")]


def _folder(spec: Spec, name: str) -> Path:
    return results_dir() / spec.profile / name


def _task_slug(spec: Spec) -> str:
    return short(Path(spec.task.removeprefix("file:")).stem if spec.items_file is not None else spec.task)


def _run_slug(spec: Spec) -> str:
    return f"{_task_slug(spec)}-m{spec.m0_seed}-s{spec.seed}-kl{spec.kl_weight:g}-r{spec.rank}"


def _model_slug(spec: Spec) -> str:
    return short(spec.model.rstrip("/").split("/")[-1].lower())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder while other processes wait. The system frees the lock when this process dies.

    A process that must wait says for what, and for whom.

    Raises:
        StoreError: Where the lock cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 1000, 0).decode(errors="replace") or "another process"
            say(f"waiting for {folder}, which {holder} holds")
            fcntl.flock(lock, fcntl.LOCK_EX)
        with writing(folder):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()} on {platform.node()}".encode(), 0)
        yield
    finally:
        os.close(lock)


def finish(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Complete a folder by writing its manifest, last and atomically.

    Args:
        folder: The folder with all its files in place.
        manifest: What is known of the result.

    Returns:
        The manifest as it was written: with the checksum of every file, with `provenance`, and with a digest
            of itself. Hidden files and the executed notebook have no checksum.
    """
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if name not in (MANIFEST, NOTEBOOK) and not _hidden(name)]
    checksums = {name: sha256(folder / name) for name in names}
    return write_manifest(folder, manifest | {"files": checksums} | provenance())


def write_manifest(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write a manifest with a digest of itself, atomically, and return it as it was written."""
    manifest = json.loads(json.dumps(finite(manifest)))  # as it will be read
    manifest["digest"] = _digest(manifest)
    write_json(folder / MANIFEST, manifest)
    return manifest


def read_manifest(folder: Path, needed: Mapping[str, tuple[str, ...]] = RESULT) -> dict[str, Any]:
    """Read the manifest of a folder, and check all of it but the checksums of the files.

    Args:
        folder: The folder.
        needed: By stage, the names of the files that must be there.

    Raises:
        StoreError: Where the manifest is missing or damaged, belongs to another folder, was written by code
            of another schema version, or names fewer files than such a result has.
    """
    path = folder / MANIFEST
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise StoreError(f"{path} is no manifest of a result: {_WAY_OUT}")
    if (schema := manifest.get("schema")) != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {schema}, and this code has {SCHEMA_VERSION}: {_WAY_OUT}, or use the "
            f"code that made it (commit {manifest.get('git_commit')})"
        )
    if manifest.get("digest", _digest(manifest)) != _digest(manifest):
        raise StoreError(f"{path} is damaged (its digest does not fit): {_WAY_OUT}")
    if folder.name.rpartition("-")[2] != manifest.get("key"):
        raise StoreError(f"{path} is of key {manifest.get('key')}, and so of another folder: {_WAY_OUT}")
    if (stage := manifest.get("stage")) not in needed:
        raise StoreError(f"{path} is of stage {stage!r}, which leaves no such result: {_WAY_OUT}")
    if lacks := sorted(set(needed[stage]) - manifest["files"].keys()):
        raise StoreError(f"{path} does not name {', '.join(lacks)}: {_WAY_OUT}")
    return manifest


_WAY_OUT = "compute it again with `coupling run` or `make study`, or bring it here again"


def _digest(manifest: dict[str, Any]) -> str:
    """The SHA-256 of a manifest without its digest."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def fault(folder: Path, needed: Mapping[str, tuple[str, ...]] = RESULT) -> str | None:
    """Say why a folder is not complete, in one line; None where it is complete. See `read_manifest`."""
    try:
        if wrong := wrong_file(folder, read_manifest(folder, needed)["files"], sha256_once):
            return f"{folder / wrong} is missing or damaged: {_WAY_OUT}"
    except (StoreError, OSError, TypeError) as error:
        return str(error)
    return None


def complete(folder: Path, needed: Mapping[str, tuple[str, ...]] = RESULT) -> bool:
    """Whether a folder has a manifest that is whole, and every file that it names, unchanged."""
    return fault(folder, needed) is None


def damaged(folder: Path) -> bool:
    """Whether a folder has a manifest but is not complete."""
    return (folder / MANIFEST).exists() and not complete(folder)


def verified(folder: Path, part: str, needed: Mapping[str, tuple[str, ...]] = RESULT) -> Path:
    """Return a part of a result that is about to be read, once its checksums have been checked.

    Args:
        folder: The folder of the result.
        part: The name of a file in it, or of a folder with all files in that.
        needed: See `read_manifest`.

    Raises:
        StoreError: Where the part is missing or damaged, or the manifest is.
    """
    listed = read_manifest(folder, needed)["files"].items()
    checksums = {name: c for name, c in listed if name == part or name.startswith(f"{part}/")}
    if not checksums or wrong_file(folder, checksums):
        raise StoreError(f"{folder / part} is missing or damaged: {_WAY_OUT}")
    return folder / part


def clear(folder: Path) -> None:
    """Empty a folder, its manifest first. The lock stays, since this process may hold it."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def provenance() -> dict[str, Any]:
    """What made a result beside its spec: package versions, git commit, hardware and time."""
    return {
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "python": platform.python_version(),
        **commit(),
        "hardware": hardware(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def hardware() -> dict[str, Any]:
    """The kind of this machine: architecture, system, and the number and the name of its CPUs."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "cpu": cpu_name(),
    }


def commit() -> dict[str, str | bool | None]:
    """The git commit of the code, and whether the code differs from it; None where nothing tells.

    Code that was carried to a machine without its repository has its commit in the environment (CARRIED).
    """
    if carried := os.environ.get(CARRIED):
        return {"git_commit": carried.removesuffix("+"), "git_dirty": carried.endswith("+")}
    status = _output("git", "status", "--porcelain")
    return {
        "git_commit": _output("git", "rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
    }


def _version(package: str) -> str | None:
    """The version of a package; None where it is not installed, as not all of them are on every machine."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The name of this machine's CPU.

    It comes from the file that Linux has, or from the command that macOS has. Where neither gives a name,
    this is the architecture.
    """
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    if names:
        return names[0]
    return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _output(*command: str) -> str | None:
    """What a command prints at the top of the study; None where it is missing, fails or takes over 30 s."""
    try:
        done = subprocess.run(command, cwd=root(), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
