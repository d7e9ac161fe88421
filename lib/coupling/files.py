"""Files of the study: the folders that they lie in, and reading and writing that is whole or fails."""

import fcntl
import hashlib
import json
import math
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError

from coupling.checksums import sha256, wrong_file
from coupling.errors import StudyError

# Environment variables that name folders.
FOLDERS = ("COUPLING_RESULTS", "COUPLING_FIGURES", "COUPLING_CACHE", "COUPLING_MODELS", "COUPLING_DATA")
LONGEST = 80  # bytes of a part of a name, see `short`
BY_CONTENT = "sha256:"  # begins the name of a file that is named by its content
SUMS = "SHA256SUMS"  # a list of checksums in a folder, which `sha256sum -c` reads too


class StoreError(StudyError, RuntimeError):
    """A result is missing or damaged. The message names the file and the way out."""


def root() -> Path:
    """The top of the study: the nearest folder from the working directory upwards that holds `lib/coupling`.

    Where there is none, this is the working directory.
    """
    here = Path.cwd().resolve()
    return next((p for p in (here, *here.parents) if (p / "lib" / "coupling").is_dir()), here)


def checkout() -> Path:
    """The folder with the notebooks and the batch engine's files, for a command that is called anywhere.

    It is the top of the study around the working directory, else that of the study which this library is a
    part of.

    Raises:
        StoreError: Where the library was installed without the study around it.
    """
    tops = (root(), Path(__file__).resolve().parents[2])
    if found := next((top for top in tops if (top / "notebooks" / "Snakefile").is_file()), None):
        return found
    raise StoreError(
        f"there are no notebooks beside {tops[1]}: install the library with `pip install -e .` in a clone of "
        "the study, or run this in one"
    )


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


def say(line: str) -> None:
    """Tell the user, on stderr, what is done that was not asked for, or what is waited for."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the block, an error of the system while something is written becomes one clear line.

    Args:
        path: What is written.

    Raises:
        StoreError: Where the disk is full, or the folder is read-only, missing or in use as a file.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno is None:  # not the system's, but that of a library
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"cannot write {path} ({reason}): make room there, or make the folder writable, and run again"
        ) from error


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A place beside `path` for what is not finished.

    What processes of this machine that have died left at such places is removed first.

    Args:
        path: What is to be written. Its parent folder is made where it is missing.

    Yields:
        A path beside `path`, where nothing is. What is there when the block ends is removed.
    """
    part = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in (part, *_left_by_the_dead(path)):
            _remove(left)
    try:
        yield part
    finally:
        _remove(part)


def _machine() -> str:
    """Six digits that stand for this machine in names of files, since process ids are those of a machine."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def _left_by_the_dead(path: Path) -> list[Path]:
    """What processes that are gone left beside a path. Names of an earlier version have no machine."""
    named = re.compile(rf"\.{re.escape(path.name)}\.(?:{_machine()}-)?(\d+)\.part")
    found = ((other, named.fullmatch(other.name)) for other in path.parent.iterdir())
    return [other for other, match in found if match and not _alive(int(match[1]))]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or a folder under another name first, so that `path` is never there in part.

    Args:
        path: What is to be written. Its parent folder is made where it is missing.

    Yields:
        A path beside `path`. What is written to it takes the place of `path` when the block ends, and is
        removed when the block fails. A folder at `path` stays as it is, since another process made the same
        one.

    Raises:
        StoreError: Where it cannot be written.
    """
    with scratch(path) as part, writing(path):
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
    with replacing(path) as part:
        put_json(part, value)


def put_json(path: Path, value: Any) -> None:
    """Write JSON as `write_json` does, to a path that is not the final one."""
    text = json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """Return a value of JSON with None in place of every number that JSON does not have (NaN, infinity)."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Read JSON. A file that an earlier version wrote may hold NaN, which is read as a number.

    Raises:
        StoreError: Where the file is missing or damaged.
    """
    with _reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as parquet, atomically. The same frame gives the same bytes."""
    with replacing(path) as part:
        put_table(part, frame)


def put_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as `write_table` does, to a path that is not the final one."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    # Log probabilities hardly repeat. With their bytes stored apart they take two thirds of the space.
    apart = [field.name for field in table.schema if pa.types.is_float32(field.type)]
    rest = [name for name in table.column_names if name not in apart]
    pq.write_table(table, path, compression="zstd", use_dictionary=rest, use_byte_stream_split=apart)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table from parquet, or from CSV, whose column `condition` is text.

    Raises:
        StoreError: Where the file is missing or damaged.
    """
    with _reading(path):
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype={"condition": str})
        return pq.read_table(path).to_pandas()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Within the block, a file is read that must have the checksum that its folder's list names for it."""
    try:
        path.stat()  # a file that is missing is not called damaged
        if (wrong := wrong_file(path.parent, read_sums(path.parent, [path.name]))) is not None:
            raise StoreError(f"{path.parent / wrong} is damaged ({SUMS} names another checksum): {_WAY_OUT}")
        yield
    except FileNotFoundError:
        raise StoreError(f"{path} is missing: run again what makes it") from None
    # pyarrow and pandas raise errors of many classes where bytes are not what they should be.
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path} is damaged ({reason}): {_WAY_OUT}") from None


_WAY_OUT = "delete it and run again what makes it, or take it from git again if it is committed"


def read_sums(folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """Read the list of checksums of a folder.

    Args:
        folder: The folder.
        names: The files that are wanted; all of the list unless given.

    Returns:
        By name the SHA-256 of each of these files that the list has. Nothing where there is no list.
    """
    path = folder / SUMS
    if not path.is_file():
        return {}
    pairs = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    listed = {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
    return {name: listed[name] for name in (listed if names is None else names) if name in listed}


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of some files into the list of their folder. Other lines of the list stay."""
    own = {name: sha256(folder / name) for name in names}
    with writing(folder / SUMS):
        held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)  # others may add lines too
        sums = read_sums(folder) | own
        write_text(folder / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    finally:
        os.close(held)
