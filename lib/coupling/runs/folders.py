"""Where results live: run folders with a manifest written last, tables, checksums.

A folder is complete if and only if its manifest is there and every file in it has the checksum that it names.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from coupling.files import StoreError, read_json, results_dir, root, sha256, write_json
from coupling.spec import Spec, key

NOTEBOOK = "notebook.ipynb"  # the executed notebook in a run's folder: its log, not part of its result


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


def _task_slug(spec: Spec) -> str:
    return Path(spec.task.removeprefix("file:")).stem if spec.task.startswith("file:") else spec.task


def _model_slug(spec: Spec) -> str:
    return spec.model.rstrip("/").split("/")[-1].lower()


def m0_folder(spec: Spec) -> Path:
    """Where the prepared M0 of this spec is kept, for all tasks, with what is kept of it on the way there."""
    whole = spec.model_copy(update={"m0_checkpoint": 1.0, "explainer": -1})
    return results_dir() / spec.profile / f"m0-{_model_slug(spec)}-m{spec.m0_seed}-{key(whole, 'm0')}"


def base_folder(spec: Spec) -> Path:
    """Where M0's behaviours on the spec's test items are kept."""
    return (
        results_dir()
        / spec.profile
        / f"base-{_task_slug(spec)}-{_model_slug(spec)}-m{spec.m0_seed}-{key(spec, 'base')}"
    )


def run_folder(spec: Spec) -> Path:
    """Where the explainer of this spec is kept."""
    slug = f"{_task_slug(spec)}-m{spec.m0_seed}-s{spec.seed}-kl{spec.kl_weight:g}-r{spec.rank}"
    return results_dir() / spec.profile / f"{slug}-{key(spec, 'explain')}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; another waits. The kernel frees the lock when a process dies."""
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _git(*args: str) -> str | None:
    try:
        done = subprocess.run(["git", *args], cwd=root(), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def provenance() -> dict[str, Any]:
    """What made a result beside its spec: package versions, git commit and dirty flag, hardware, time."""
    status = _git("status", "--porcelain")
    return {
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cpus": os.cpu_count(),
            "cpu": _cpu_name(),
        },
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor()


def finish(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Complete a folder: write its manifest, with the checksum of every file in it, last and atomically."""
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    names = [
        n
        for n in names
        if n not in ("manifest.json", NOTEBOOK) and not any(part.startswith(".") for part in Path(n).parts)
    ]
    manifest = manifest | {"files": {n: sha256(folder / n) for n in names}} | provenance()
    write_json(folder / "manifest.json", manifest)
    return manifest


def clear(folder: Path) -> None:
    """Remove what is in a folder, its manifest first, but for the lock that this process may hold on it."""
    (folder / "manifest.json").unlink(missing_ok=True)
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def complete(folder: Path) -> bool:
    """Whether the folder's manifest is there and all its files have the checksums that it names."""
    path = folder / "manifest.json"
    if not path.is_file():
        return False
    try:
        files = read_json(path)["files"]
        return all(
            (folder / name).is_file() and sha256(folder / name) == digest for name, digest in files.items()
        )
    except (StoreError, KeyError, TypeError):
        return False
