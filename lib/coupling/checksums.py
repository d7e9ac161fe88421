"""SHA-256 checksums of files."""

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """The SHA-256 of a file. It is computed once in a process, and again where size or time changed.

    A file that was written just now is read every time: clocks of file systems are too coarse to tell two
    writes apart that follow at once.
    """
    status = path.stat()
    if time.time_ns() - status.st_mtime_ns < _COARSE:
        return sha256(path)
    return _sha256_of(path, status.st_size, status.st_mtime_ns)


_COARSE = 2 * 10**9  # nanoseconds, the coarsest clock of a file system (FAT)
_sha256_of = lru_cache(None)(lambda path, size, mtime_ns: sha256(path))


def wrong_file(
    folder: Path, checksums: Mapping[str, str], digest: Callable[[Path], str] = sha256
) -> str | None:
    """Return the first of some files that is missing or has another checksum, or None."""
    right = ((folder / n).is_file() and digest(folder / n) == c for n, c in checksums.items())
    return next((name for name, fits in zip(checksums, right, strict=True) if not fits), None)
