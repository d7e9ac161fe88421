"""Where results live: run folders with a manifest written last, tables, checksums.

A folder is complete if and only if its manifest is there and every file in it has the checksum that it names.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from coupling.errors import StudyError

FOLDERS = ("COUPLING_RESULTS", "COUPLING_FIGURES", "COUPLING_CACHE", "COUPLING_DATA")  # environment variables
BY_CONTENT = "sha256:"  # what a file is called by its content


class StoreError(StudyError, RuntimeError):
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


def pin_folders() -> None:
    """Make the folders that environment variables name absolute, for processes that run in another folder."""
    for name in FOLDERS:
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).resolve())


def figures_dir() -> Path:
    """Where figures are drawn: COUPLING_FIGURES, else `figures/` at the top of the study."""
    return Path(os.environ.get("COUPLING_FIGURES") or root() / "figures")


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
