"""Published records: the part of a finished run that goes into the repository.

With records, work that takes hours adds up over machines. `publish` writes them into
figures/data/<profile>/<sweep>/records/, in folders of the same names as in results/. Of a run, a record
holds the manifest, the rows and the history. Of the base of its M0, a record holds the manifest and the
explanations before any training. A record holds item ids and choices, and no text of items. What a model
said is replaced by a digest. Tables are collected from results and, where a result is missing, from its
record.
"""

import hashlib
from glob import escape
from pathlib import Path

import pandas as pd

from coupling import files
from coupling.errors import StudyError
from coupling.runs import folders
from coupling.spec import Spec

MOST_MB = 30.0  # of all records together, since every clone of the repository holds them
# The tables of a record. The column that holds what a model said, if there is one, is replaced by digests.
_RUN: dict[str, str | None] = {"rows": "text", "history": None}
_BASE: dict[str, str | None] = {"untrained": "free"}


class PublishError(StudyError, RuntimeError):
    """Runs cannot be published. The message says why."""


def published(folder: Path) -> Path | None:
    """The record of a result, from any sweep.

    Args:
        folder: The folder of the result in results/. The result need not be there.

    Returns:
        The folder of the record, or None where the result is not published.
    """
    found = sorted(files.tables_dir().glob(f"{folder.parent.name}/*/records/{escape(folder.name)}"))
    return next((path for path in found if folders.complete(path)), None)


def find(folder: Path) -> Path | None:
    """The folder of a result if the result is complete there, else its record, else None."""
    return folder if folders.complete(folder) else published(folder)


def publish(sweep: str, runs: list[Spec]) -> list[Path]:
    """Publish the finished runs of a sweep and the bases of their M0 as records.

    Runs that have not finished are left out. What is published already is left alone.

    Args:
        sweep: The name of the sweep that the records are kept under.
        runs: The runs of one profile.

    Returns:
        The folders of the new records.

    Raises:
        PublishError: Before anything is written, where no run has finished, or where all records together
            would come to more than MOST_MB.
    """
    done = [spec for spec in runs if folders.complete(folders.run_folder(spec))]
    if not done:
        first = f", for instance {folders.run_folder(runs[0])}" if runs else ""
        raise PublishError(f"none of the {len(runs)} runs has finished{first}: run the sweep first")
    wanted = {folders.base_folder(spec): _BASE for spec in done}
    wanted |= {folders.run_folder(spec): _RUN for spec in done}
    new = {source: tables for source, tables in wanted.items() if not published(source)}
    _check_size(new)
    at = files.tables_dir() / done[0].profile / sweep / "records"
    for source, tables in new.items():
        _write_record(at / source.name, source, tables)
    return [at / source.name for source in new]


def _check_size(new: dict[Path, dict[str, str | None]]) -> None:
    """Raise PublishError where these records and those that are there would be larger than MOST_MB."""
    size = sum(path.stat().st_size for path in files.tables_dir().glob("*/*/records/*/*"))
    size += sum(
        (source / f"{name}.parquet").stat().st_size for source, tables in new.items() for name in tables
    )
    if size > MOST_MB * 1e6:
        raise PublishError(
            f"{len(new)} records more would make {size / 1e6:.0f} MB of at most {MOST_MB:g}: "
            "publish fewer runs"
        )


def _write_record(record: Path, source: Path, tables: dict[str, str | None]) -> None:
    """Write one record: tables of a result, and its manifest with the checksums of the record's tables."""
    with files.replacing(record) as part:
        part.mkdir(parents=True)
        for name, said in tables.items():
            frame = files.read_table(source / f"{name}.parquet")
            files.write_table(part / f"{name}.parquet", _with_digests(frame, said) if said else frame)
        checksums = {f"{name}.parquet": files.sha256(part / f"{name}.parquet") for name in tables}
        manifest = files.read_json(source / folders.MANIFEST)
        files.write_json(part / folders.MANIFEST, manifest | {"files": checksums})


def _with_digests(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """A table with digests in place of the texts of one column: 12 hexadecimal digits of SHA-256."""
    digests = {text: hashlib.sha256(text.encode()).hexdigest()[:12] for text in frame[column].unique()}
    return frame.assign(**{column: frame[column].map(digests)})
