"""Folders of results: where each result is kept, when it is complete, and what made it.

Every result has a folder `results/<profile>/<slug>-<key>/`. Its manifest is written last. A folder is
complete if and only if its manifest is there and every file that the manifest names has the checksum that
stands beside the name.
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

from coupling.files import StoreError, read_json, results_dir, root, sha256, short, write_json
from coupling.spec import Spec, key

MANIFEST = "manifest.json"
# The executed notebook in the folder of a run. It is the log of the run, and no part of the result.
NOTEBOOK = "notebook.ipynb"
# The environment variable with the git commit of code that was carried here; a + behind it: and changes.
CARRIED = "COUPLING_COMMIT"
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
    slug = f"{_task_slug(spec)}-m{spec.m0_seed}-s{spec.seed}-kl{spec.kl_weight:g}-r{spec.rank}"
    return _folder(spec, f"{slug}-{key(spec, 'explain')}")


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


def _model_slug(spec: Spec) -> str:
    return short(spec.model.rstrip("/").split("/")[-1].lower())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder while other processes wait. The system frees the lock when this process dies."""
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def finish(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Complete a folder by writing its manifest, last and atomically.

    Args:
        folder: The folder with all its files in place.
        manifest: What is known of the result.

    Returns:
        The manifest as it was written: with the checksum of every file and with `provenance`. Hidden files
            and the executed notebook have no checksum.
    """
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if name not in (MANIFEST, NOTEBOOK) and not _hidden(name)]
    manifest = manifest | {"files": {name: sha256(folder / name) for name in names}} | provenance()
    write_json(folder / MANIFEST, manifest)
    return manifest


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def complete(folder: Path) -> bool:
    """Whether a folder has a manifest, and every file that it names has the checksum that it names."""
    path = folder / MANIFEST
    if not path.is_file():
        return False
    try:
        checksums = read_json(path)["files"]
        return all((folder / n).is_file() and sha256(folder / n) == c for n, c in checksums.items())
    except (StoreError, KeyError, TypeError, AttributeError):
        return False


def damaged(folder: Path) -> bool:
    """Whether a folder has a manifest but is not complete."""
    return (folder / MANIFEST).exists() and not complete(folder)


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
