"""Files of the study: the folders that they lie in, and reading and writing that is whole or fails."""

import hashlib
import json
import math
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

# Environment variables that name folders.
FOLDERS = ("COUPLING_RESULTS", "COUPLING_FIGURES", "COUPLING_CACHE", "COUPLING_MODELS", "COUPLING_DATA")
LONGEST = 80  # bytes of a part of a name, see `short`
BY_CONTENT = "sha256:"  # begins the name of a file that is named by its content


class StoreError(StudyError, RuntimeError):
    """A result is missing or damaged. The message names the file and the way out."""


def root() -> Path:
    """The top of the study: the nearest folder from the working directory upwards that holds `lib/coupling`.

    Where there is none, this is the working directory.
    """
    here = Path.cwd().resolve()
    return next((p for p in (here, *here.parents) if (p / "lib" / "coupling").is_dir()), here)


def results_dir() -> Path:
    """Where runs are kept: the folder named by COUPLING_RESULTS, else `results/` at the top of the study."""
    return Path(os.environ.get("COUPLING_RESULTS") or root() / "results")


def check_place(variable: str, folder: Path) -> None:
    """Check that a command finds its files from the working directory.

    Args:
        variable: The environment variable that may name the folder.
        folder: The folder of the files.

    Raises:
        StoreError: Where there is no such folder, no study around, and no folder was named.
    """
    if not os.environ.get(variable) and not folder.is_dir() and not (root() / "lib" / "coupling").is_dir():
        raise StoreError(f"there is no {folder}: run this in the folder of the study, or set {variable}")


def cache_dir() -> Path:
    """Where downloads are kept: the folder that COUPLING_CACHE names, else one in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coupling"
    return Path(os.environ.get("COUPLING_CACHE") or default)


def models_dir() -> Path:
    """Where packaged models are kept: the folder that COUPLING_MODELS names, else one among the downloads."""
    return Path(os.environ.get("COUPLING_MODELS") or cache_dir() / "models")


def data_dir() -> Path:
    """Where a user keeps files that runs name by their content, and packaged data that was carried here.

    It is the folder that COUPLING_DATA names, else `data/` at the top of the study.
    """
    return Path(os.environ.get("COUPLING_DATA") or root() / "data")


def figures_dir() -> Path:
    """Where figures are kept: the folder named by COUPLING_FIGURES, else `figures/` at the top."""
    return Path(os.environ.get("COUPLING_FIGURES") or root() / "figures")


def tables_dir() -> Path:
    """Where the tables behind the figures are kept: `data/` among the figures."""
    return figures_dir() / "data"


def pin_folders() -> None:
    """Make the folders that environment variables name absolute, for processes that run in another folder."""
    for name in FOLDERS:
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).resolve())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or a folder under another name first, so that `path` is never there in part.

    Args:
        path: What is to be written. Its parent folder is made where it is missing.

    Yields:
        A path beside `path`. What is written to it takes the place of `path` when the block ends, and is
        removed when the block fails. A folder at `path` stays as it is, since another process made the same
        one.
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


def short(name: str) -> str:
    """Return a part of a file's name: the name itself, or if it is long its beginning and a digest of it.

    A name of a file may have 255 bytes, and files of results are called by more than one name.
    """
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: LONGEST - 9].decode(errors='ignore')}-{digest}"


def write_text(path: Path, text: str) -> None:
    """Write a text atomically. What was there stays where there is no room for the new one."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically. Keys keep their order. A number that is not finite is written as null."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(path) as part:
        part.write_text(f"{text}\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """Return a value of JSON with None in place of every number that JSON does not have (NaN, infinity)."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Read JSON. A file that an earlier version wrote may hold NaN, which is read as a number.

    Raises:
        StoreError: Where the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}): delete it and run again") from None


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as parquet, atomically. The same frame gives the same bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with replacing(path) as part:
        pq.write_table(table, part, compression="zstd", version="2.6")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table from parquet.

    Raises:
        StoreError: Where the file is missing or damaged.
    """
    try:
        return pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise StoreError(f"{path} is missing: run again what makes it") from None
    except pa.ArrowInvalid as error:
        raise StoreError(f"{path} is damaged ({error}): delete it and run again") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
