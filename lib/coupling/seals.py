"""Seals: checksums beside intermediate files. A file that is damaged or of another run is made again."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coupling import files


@contextmanager
def sealing(path: Path) -> Iterator[Path]:
    """Write an intermediate file as `replacing` does, and keep its seal beside it.

    A seal is a checksum of the content and of the place among the results. So a file that is damaged, or that
    belongs to another run, is known as such. For a moment the seal fits the old file and the new one: a
    process that is killed at any point leaves one of the two, intact.
    """
    with files.replacing(path) as part:
        yield part
        with files.writing(path):
            # Two, since a process may have died before the last of them came to its file.
            _put(path, [*_seals(path)[-2:], _seal(path, part)])


def seal(path: Path) -> None:
    """Seal a file that was written in place, because a library knows no other way."""
    with files.writing(path):
        _put(path, [_seal(path, path)])


def _seals(path: Path) -> list[str]:
    """The seals that stand beside a file; none where they cannot be read."""
    try:
        return seal_file(path).read_text().split()
    except (OSError, ValueError):
        return []


def _put(path: Path, seals: list[str]) -> None:
    files.write_text(seal_file(path), "\n".join(seals))


def intact(path: Path) -> bool:
    """Whether a file is there as `sealing` wrote it."""
    try:
        return path.is_file() and _seal(path, path) in _seals(path)
    except OSError:
        return False


def kept(path: Path, write: Callable[[Path], None]) -> Path:
    """Return an intermediate file. It is written where it is missing or not intact.

    Args:
        path: Where the file is kept.
        write: Writes it to the path that it is given.
    """
    if not intact(path):
        if path.exists():
            files.say(f"{path} is damaged, or not of this run: it is made again")
        with sealing(path) as part:
            write(part)
    return path


def seal_file(path: Path) -> Path:
    """Where the seal of a file is kept."""
    return path.with_name(f".{path.name}.seal")


def _seal(path: Path, content: Path) -> str:
    """The seal of a file at a path with the content of a file, hexadecimal."""
    place, top = path.resolve(), files.results_dir().resolve()
    name = str(place.relative_to(top)) if place.is_relative_to(top) else place.name
    with content.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.sha256(name.encode() + b"\0")).hexdigest()
