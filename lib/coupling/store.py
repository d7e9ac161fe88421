"""Where results live: run folders with a manifest written last, tables, checksums.

A folder is complete if and only if its manifest is there and every file in it has the checksum that it names.
"""

import fcntl
import hashlib
import json
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

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from coupling.spec import Spec, key

NOTEBOOK = "notebook.ipynb"  # the executed notebook in a run's folder: its log, not part of its result
PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "pandas", "pyarrow", "scipy")


class StoreError(RuntimeError):
    """A result that is missing or damaged; the message names it and the command that makes it."""


def root() -> Path:
    """The top of the study: the nearest folder from here upwards that holds `lib/coupling`, else this folder."""
    here = Path.cwd().resolve()
    return next((p for p in (here, *here.parents) if (p / "lib" / "coupling").is_dir()), here)


def results_dir() -> Path:
    """Where runs are kept: COUPLING_RESULTS, else `results/` at the top of the study."""
    return Path(os.environ.get("COUPLING_RESULTS") or root() / "results")


def cache_dir() -> Path:
    """Where downloads are kept: COUPLING_CACHE, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coupling"
    return Path(os.environ.get("COUPLING_CACHE") or default)


def data_dir() -> Path:
    """Where files of one's own lie that runs name by their content: COUPLING_DATA, else `data/` at the top of the study."""
    return Path(os.environ.get("COUPLING_DATA") or root() / "data")


def tables_dir() -> Path:
    """Where the tables behind the figures are kept: COUPLING_FIGURES, else `figures/` at the top; there `data/`."""
    return figures_dir() / "data"


def figures_dir() -> Path:
    """Where figures are drawn: COUPLING_FIGURES, else `figures/` at the top of the study."""
    return Path(os.environ.get("COUPLING_FIGURES") or root() / "figures")


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
    return results_dir() / spec.profile / f"base-{_task_slug(spec)}-{_model_slug(spec)}-m{spec.m0_seed}-{key(spec, 'base')}"


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary neighbour of `path` that takes its place when the block ends well, and is removed when it does not.

    Works for files and folders; a folder that is there already stays as it is (somebody else made the same).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        if part.is_dir():
            try:
                part.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
        else:
            with part.open("rb") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys in their own order."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON. Raises StoreError that names the file if it is damaged."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}): delete it and run again") from None


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write parquet atomically; the same frame gives the same bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with replacing(path) as part:
        pq.write_table(table, part, compression="zstd", version="2.6")


def read_table(path: Path) -> pd.DataFrame:
    """Read parquet. Raises StoreError if the file is missing or damaged."""
    try:
        return pq.read_table(path).to_pandas()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise StoreError(f"cannot read {path}: {error}") from None


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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
        "hardware": {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "cpu": _cpu_name()},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0] if names else platform.processor()


def finish(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Complete a folder: write its manifest, with the checksum of every file in it, last and atomically."""
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    names = [n for n in names if n not in ("manifest.json", NOTEBOOK) and not any(part.startswith(".") for part in Path(n).parts)]
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
        return all((folder / name).is_file() and sha256(folder / name) == digest for name, digest in files.items())
    except (StoreError, KeyError, TypeError):
        return False


def report(notebook: str, parameters: dict[str, Any], computed: int, reused: int) -> None:
    """Print the command that reproduces a notebook, and how many runs it computed and how many were there."""
    pairs = "".join(f" -p {n}={v}" for n, v in parameters.items())
    print(f"coupling notebook notebooks/{notebook}.ipynb out.ipynb{pairs}\nruns computed: {computed}, reused: {reused}")
