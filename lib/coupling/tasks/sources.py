"""Files that real items are made from: where they lie, and how their lines are read."""

import codecs
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from coupling import checksums, files
from coupling.files import BY_CONTENT
from coupling.tasks.items import TaskError

ON_HUB = "hub:"
_MARKS = {  # a mark of UTF-32 begins with one of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

T = TypeVar("T")


def located(field: str, source: str) -> Path:
    """Find the file that a spec field names.

    Args:
        field: The name of the spec field, for messages.
        source: A path; hub:OWNER/NAME/FILE, a file of a dataset on the Hugging Face hub, which is downloaded;
            or sha256:DIGEST, a file with this content anywhere in the data folder
            (`coupling.files.data_dir`).

    Raises:
        TaskError: If the data folder has no such file, or the hub does not give it.
    """
    if source.startswith(BY_CONTENT):
        return _with_content(field, source)
    if source.startswith(ON_HUB):
        return _from_hub(field, source)
    return Path(source)


def _with_content(field: str, source: str) -> Path:
    folder = files.data_dir()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and BY_CONTENT + checksums.sha256(path) == source:
            return path
    raise TaskError(
        f"{field}={source}: no file in {folder.resolve()} has this content; "
        "put it there, or name its folder in COUPLING_DATA"
    )


def _from_hub(field: str, source: str) -> Path:
    from huggingface_hub import hf_hub_download

    owner, name, file = [*source.removeprefix(ON_HUB).split("/", 2), "", ""][:3]
    if not file:
        raise TaskError(
            f"{field}={source}: expected hub:OWNER/NAME/FILE, a path, or one of the named datasets"
        )
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file, repo_type="dataset"))
    # The hub's library has a class of its own for each: no network, no such file, access denied.
    except Exception as error:
        raise TaskError(
            f"{field}={source}: it cannot be fetched from the hub ({str(error).splitlines()[0]}); "
            "give the path of a file"
        ) from None


def read_jsonl(path: Path, parse: Callable[[dict], T]) -> list[T]:
    """Read a JSONL file: one JSON object a line. The study reads all JSONL files here.

    The file is in UTF-8, or in the encoding that a byte order mark at its beginning names. A line ends with a
    line feed and with nothing else, so that a text may hold any other separator. Blank lines are skipped.

    Args:
        path: The file.
        parse: Makes of an object what is wanted. It raises TaskError if the object cannot be used.

    Raises:
        TaskError: If a line is no such object, or the file has none. The message names file and line.
    """
    rows = []
    for number, line in enumerate(lines_of(path), 1):
        if line.strip():
            try:
                rows.append(parse(_object(line)))
            except TaskError as error:
                raise TaskError(f"{path}, line {number}: {error}") from None
    if not rows:
        raise TaskError(f"{path}: no rows; expected one JSON object a line")
    return rows


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file in UTF-8, without byte order marks. Joined files have some inside."""
    content = path.read_bytes()
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            try:
                content = content.removeprefix(mark).decode(encoding).encode()
            except UnicodeError as error:
                raise TaskError(
                    f"{path}: not {encoding}, which its byte order mark names ({error})"
                ) from None
            break
    return (line.removeprefix(codecs.BOM_UTF8) for line in content.split(b"\n"))


def _object(line: bytes) -> dict:
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise TaskError(f"not UTF-8 at byte {error.start} of the line") from None
    except (ValueError, RecursionError) as error:  # ValueError also for a number of too many digits
        if isinstance(error, TaskError):
            raise
        raise TaskError(f"not JSON ({error})") from None
    if not isinstance(row, dict):
        raise TaskError(f"expected a JSON object, not {type(row).__name__}")
    if b"\\ud" in line.lower():
        _check_surrogates(row)
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of the fields of an object, each of which stands once."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise TaskError(f"{name!r} stands twice in the object")
        found[name] = value
    return found


def _check_surrogates(row: dict) -> None:
    """Raise TaskError where a text holds half of a surrogate pair, which is no character."""
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise TaskError(f"{half} is half of a surrogate pair, and no character: write both halves") from None


def check_texts(row: dict, fields: Sequence[str]) -> None:
    """Check that an object has these fields, with a string that is not blank in each.

    Raises:
        TaskError: If it does not.
    """
    for name in fields:
        if name not in row:
            raise TaskError(f"missing {name}; expected {', '.join(fields)}")
        if not isinstance(row[name], str) or not row[name].strip():
            raise TaskError(f"{name} must be a non-empty string, not {row[name]!r}")
