"""Published records: what of a finished run goes into the repository, so that work which takes hours adds up over machines.

`publish` copies a run's manifest, rows and history, and of its M0 the manifest and the untrained explanations, into
figures/data/<profile>/<sweep>/records/, in folders of the same names as in results/. A record holds item ids and choices; of what a model said it holds a
digest, and no text of items. Tables are collected from results and, where these are missing, from records.
"""

import hashlib
from pathlib import Path

import pandas as pd

from coupling import files
from coupling.errors import StudyError
from coupling.runs import folders
from coupling.spec import Spec

MOST_MB = 30.0  # of all records together: they are in every clone
_RUN, _BASE = (
    {"rows": "text", "history": None},
    {"untrained": "free"},
)  # the tables of a record, and the column of each that is only digested


class PublishError(StudyError, RuntimeError):
    """A run that cannot be published; the message says why."""


def published(folder: Path) -> Path | None:
    """The record of the result that belongs into this folder of results/, of whatever sweep, or None."""
    found = sorted(files.tables_dir().glob(f"{folder.parent.name}/*/records/{folder.name}"))
    return next((p for p in found if folders.complete(p)), None)


def find(folder: Path) -> Path | None:
    """Where a result is: in its folder of results/ if it is complete there, else in its record, else nowhere."""
    return folder if folders.complete(folder) else published(folder)


def publish(sweep: str, runs: list[Spec]) -> list[Path]:
    """Publish the finished ones of these runs, with the bases that they start from, as records of a sweep; those that are published already are
    left alone. Returns what was written.

    Raises PublishError, before anything is written, where none has finished, and where records would come to more than MOST_MB.
    """
    done = [s for s in runs if folders.complete(folders.run_folder(s))]
    if not done:
        raise PublishError(
            f"none of the {len(runs)} runs has finished, for instance {folders.run_folder(runs[0])}: run the sweep first"
        )
    wanted = {folders.base_folder(s): _BASE for s in done} | {folders.run_folder(s): _RUN for s in done}
    at = files.tables_dir() / done[0].profile / sweep / "records"
    new = {source: tables for source, tables in wanted.items() if not published(source)}
    size = sum(p.stat().st_size for p in files.tables_dir().glob("*/*/records/*/*"))
    size += sum(
        (source / f"{name}.parquet").stat().st_size for source, tables in new.items() for name in tables
    )
    if size > MOST_MB * 1e6:
        raise PublishError(
            f"{len(new)} records more would make {size / 1e6:.0f} MB of at most {MOST_MB:g}: publish fewer runs"
        )
    for source, tables in new.items():
        with files.replacing(at / source.name) as part:
            part.mkdir(parents=True)
            for name, said in tables.items():
                frame = files.read_table(source / f"{name}.parquet")
                files.write_table(part / f"{name}.parquet", _without(frame, said) if said else frame)
            manifest = files.read_json(source / "manifest.json")
            files.write_json(
                part / "manifest.json",
                manifest | {"files": {f"{n}.parquet": files.sha256(part / f"{n}.parquet") for n in tables}},
            )
    return [at / source.name for source in new]


def _without(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows with digests in place of what was said."""
    digests = {t: hashlib.sha256(t.encode()).hexdigest()[:12] for t in frame[column].unique()}
    return frame.assign(**{column: frame[column].map(digests)})
