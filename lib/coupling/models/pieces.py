"""Files in pieces: cut into parts that can be carried one by one, and joined again by their hashes.

The name of a piece says all that joining needs: whose piece it is, its number, how many there are, and the
first 12 digits of its SHA-256. `mmlu-61b08ab60ca5.002-of-018.0f3a…` is the second of eighteen.
"""

import hashlib
from pathlib import Path

from coupling import files
from coupling.errors import StudyError

_BUFFER = 2**24  # bytes that are read at once


class FetchError(StudyError, RuntimeError):
    """A download failed or is not what was expected; nothing half-made is left behind."""


def split(path: Path, name: str, size: int, folder: Path) -> list[Path]:
    """Cut a file into pieces.

    Args:
        path: The file.
        name: What the pieces are called before their number.
        size: The most bytes of a piece.
        folder: Gets the pieces.

    Returns:
        The pieces, in order.

    Raises:
        FetchError: If a piece would have no bytes, or if there would be more than 999 pieces.
    """
    count = -(-path.stat().st_size // size) if size > 0 else 0
    if not 1 <= count <= 999:
        raise FetchError(f"{path} in pieces of {size} bytes would be {count} pieces: give 1 to 999 pieces")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with path.open("rb") as whole:
        for number in range(1, count + 1):
            data = whole.read(size)
            digest = hashlib.sha256(data).hexdigest()[:12]
            made.append(folder / f"{name}.{number:03d}-of-{count:03d}.{digest}")
            with files.replacing(made[-1]) as part:
                part.write_bytes(data)
    return made


def found(target: Path) -> list[Path]:
    """Find the pieces of a file beside it.

    Args:
        target: Where the file would lie.

    Returns:
        All pieces, in order; none where there is no piece.

    Raises:
        FetchError: If some pieces are there and others are missing, or if they are of two splits.
    """
    there = sorted(target.parent.glob(f"{target.name}.*-of-*"))
    if not there:
        return []
    counts = {path.name.removeprefix(f"{target.name}.").split(".")[0].split("-of-")[1] for path in there}
    if len(counts) > 1 or len(there) > int(max(counts)):
        raise FetchError(f"{target.parent} holds pieces of {target.name} of two splits: delete those of one")
    wanted = range(1, int(counts.pop()) + 1)
    numbers = {int(path.name.removeprefix(f"{target.name}.")[:3]) for path in there}
    if missing := [f"{number:03d}" for number in wanted if number not in numbers]:
        raise FetchError(
            f"{target.parent} holds {len(there)} of {len(wanted)} pieces of {target.name}: "
            f"carry the others there, {', '.join(missing)}"
        )
    return there


def join(parts: list[Path], target: Path, sha256: str) -> None:
    """Join pieces to a file.

    Args:
        parts: The pieces, as `found` returns them.
        target: The file that is written.
        sha256: The hash that the whole file must have, hexadecimal.

    Raises:
        FetchError: If a piece, or the whole file, has another hash. The message names the damaged piece.
    """
    whole = hashlib.sha256()
    with target.open("wb") as out:
        for path in parts:
            own = hashlib.sha256()
            with path.open("rb") as piece:
                while data := piece.read(_BUFFER):
                    own.update(data)
                    whole.update(data)
                    out.write(data)
            if not path.name.endswith(own.hexdigest()[:12]):
                raise FetchError(f"{path} is damaged: delete it and carry it here again")
    if whole.hexdigest() != sha256:
        raise FetchError(
            f"{parts[0].parent}: the joined pieces have sha256 {whole.hexdigest()}, not the declared "
            f"{sha256}: carry all of them here again"
        )
