"""Published records: the part of a finished run that goes into the repository.

With records, work that takes hours adds up over machines. `publish` writes them into
figures/data/<profile>/<sweep>/records/, in folders of the same names as in results/. Of a run, a record
holds the manifest, the rows and the history. Of the base of its M0, a record holds the manifest and the
explanations before any training. Of circuits it holds the means over items by site, and what was said under
interventions. Of a prepared M0 it holds the manifest alone, which says how long the preparation took. A
record holds item ids and choices, and no text of items. What a model said is replaced by a digest. Tables are
collected from results and, where a result is missing, from its record.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import pandas as pd

from coupling import checksums, files
from coupling.errors import StudyError
from coupling.runs import folders
from coupling.spec import Spec

# Of all records together, since every clone holds them. The runs that the plan names come to about 160 MB.
MOST_MB = 200.0
# The tables of a record. The column that holds what a model said, if there is one, is replaced by digests.
_RUN: dict[str, str | None] = {"rows": "text", "history": None}
_BASE: dict[str, str | None] = {"untrained": "free"}
_M0: dict[str, str | None] = {}
_CIRCUITS: dict[str, str | None] = {"sites": None, "interventions": None}
# By stage: the files that a record must have.
RECORD = {
    stage: tuple(f"{name}.parquet" for name in tables)
    for stage, tables in (("m0", _M0), ("base", _BASE), ("explain", _RUN), ("circuits", _CIRCUITS))
}


class PublishError(StudyError, RuntimeError):
    """Runs cannot be published. The message says why."""


def published(folder: Path) -> Path | None:
    """The record of a result, from any sweep.

    Args:
        folder: The folder of the result in results/. The result need not be there.

    Returns:
        The folder of the record, or None where the result is not published.
    """
    return next((path for path in _records(folder) if _whole(path)), None)


def _records(folder: Path) -> list[Path]:
    return sorted(files.tables_dir().glob(f"{folder.parent.name}/*/records/{escape(folder.name)}"))


def why_not(folder: Path) -> str:
    """Say in one line why neither a result nor a record of it can be read, and the way out.

    Args:
        folder: The folder of the result in results/.
    """
    places = ((folder, folders.RESULT), *((record, RECORD) for record in _records(folder)))
    faults = [folders.fault(place, needed) for place, needed in places if (place / folders.MANIFEST).exists()]
    return "; ".join(faults) or f"{folder}: run the sweep first"


def _whole(record: Path) -> bool:
    return folders.complete(record, RECORD)


def find(folder: Path) -> Path | None:
    """The folder of a result if the result is complete there, else its record, else None."""
    return folder if folders.complete(folder) else published(folder)


def publish(sweep: str, runs: list[Spec]) -> list[Path]:
    """Publish the finished runs of a sweep, and their M0s with the bases of these, as records.

    Runs that have not finished are left out. What is published already is left alone; a record that is
    damaged is written again. The runs of a condition, and the bases that they start from, must be of one
    device and precision.

    Args:
        sweep: The name of the sweep that the records are kept under.
        runs: The runs of one profile.

    Returns:
        The folders of the new records.

    Raises:
        PublishError: Before anything is written, where no run has finished, where a condition would have
            runs of two devices, or where all records together would come to more than MOST_MB.
    """
    done = [spec for spec in runs if folders.complete(folders.run_folder(spec))]
    if not done:
        first = f", for instance {folders.run_folder(runs[0])}" if runs else ""
        raise PublishError(f"none of the {len(runs)} runs has finished{first}: run the sweep first")
    check_devices(runs)
    wanted = {folders.base_folder(spec): _BASE for spec in done}
    wanted |= {folders.run_folder(spec): _RUN for spec in done}
    patched = [folders.circuits_folder(spec) for spec in done if spec.patched_items]
    wanted |= {folder: _CIRCUITS for folder in patched if folders.complete(folder)}
    wanted |= {m0: _M0 for m0 in map(folders.m0_folder, done) if folders.complete(m0)}
    at = files.tables_dir() / done[0].profile / sweep / "records"
    new = {source: tables for source, tables in wanted.items() if _is_wanted(at, source)}
    _check_size(new)
    for source, tables in new.items():
        _write_record(at / source.name, source, tables)
    return [at / source.name for source in new]


def _is_wanted(at: Path, result: Path) -> bool:
    """Whether a result is published nowhere, or its record in the folder `at` is damaged."""
    record = at / result.name
    return not published(result) or (record.exists() and not _whole(record))


def take_in(sweep: str, runs: list[Spec], top: Path) -> list[Path]:
    """Take in records that the runner (runs/batch.py) wrote on another machine.

    What is published here already is left alone; a record that is damaged is replaced.

    Args:
        sweep: The name of the sweep that the records are kept under.
        runs: The runs of one profile.
        top: The folder that holds `<profile>/<sweep>/records/`.

    Returns:
        The folders of the new records.

    Raises:
        PublishError: Before anything is written, where `top` holds no record of these runs, where a record is
            damaged, or where a condition would have runs of two devices.
    """
    if not runs:
        return []
    source, at = (where / runs[0].profile / sweep / "records" for where in (top, files.tables_dir()))
    carried = [source / name for name in _names(runs) if (source / name).is_dir()]
    if not carried:
        raise PublishError(
            f"{source} holds no record of the {len(runs)} runs of {sweep}: name another folder"
        )
    if broken := [path for path in carried if not _whole(path)]:
        raise PublishError(
            f"{broken[0]} is damaged or not whole ({folders.fault(broken[0], RECORD)}): bring it here again"
        )
    check_devices(runs, carried=source)
    here = files.results_dir() / runs[0].profile
    new = [path for path in carried if _is_wanted(at, here / path.name)]
    for path in new:
        with _record(at / path.name) as part:
            shutil.copytree(path, part)
    return [at / path.name for path in new]


def _names(runs: Iterable[Spec]) -> list[str]:
    """The names of the folders of runs, of their bases, circuits and M0s, each once."""
    kinds = (folders.base_folder, folders.run_folder, folders.circuits_folder, folders.m0_folder)
    return list(dict.fromkeys(kind(spec).name for kind in kinds for spec in runs))


def computed_on(folder: Path) -> str:
    """Device and precision that a result was computed on, as its manifest says, as "cpu, float32"."""
    model = files.read_json(folder / folders.MANIFEST)["model"]
    return f"{model['device'].split(':')[0]}, {model['dtype']}"


def check_devices(runs: Iterable[Spec], device: str | None = None, carried: Path | None = None) -> None:
    """Check that no condition has results of two devices or precisions.

    Rounding differs between devices, and with it the choices and texts on a few items. Within a condition
    such a difference would look like a difference between explainers.

    Args:
        runs: The runs. Those that differ in seeds alone are of one condition.
        device: The device that those which are not there are going to be computed on, "cpu" or "cuda".
        carried: A folder of records from another machine, to be looked at first.

    Raises:
        PublishError: Where a condition has both. The message names a result of each.
    """
    of_condition: dict[Spec, dict[str, Path]] = {}
    for spec in runs:
        condition = spec.model_copy(update={"seed": 0, "m0_seed": 0, "items_seed": -1})
        seen = of_condition.setdefault(condition, {})
        for folder in (folders.base_folder(spec), folders.run_folder(spec)):
            brought = carried / folder.name if carried else None
            place = brought if brought and _whole(brought) else find(folder)
            if place:
                seen.setdefault(computed_on(place), place)
            elif device:
                seen.setdefault(f"{device}, {spec.dtype}", folder)
    for seen in of_condition.values():
        if len(seen) > 1:
            both = " and ".join(f"{how} ({place.name})" for how, place in seen.items())
            raise PublishError(f"a condition has results of {both}: compute all its seeds on one device")


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


@contextmanager
def _record(record: Path) -> Iterator[Path]:
    """Write a record in the place of a damaged one, if there is one."""
    with files.replacing(record) as part:
        yield part
        if record.exists():
            files.say(f"{record} is damaged: it is written again")
            shutil.rmtree(record)


def _write_record(record: Path, source: Path, tables: dict[str, str | None]) -> None:
    """Write one record: tables of a result, and its manifest with the checksums of the record's tables."""
    with _record(record) as part:
        part.mkdir(parents=True)
        for name, said in tables.items():
            frame = files.read_table(folders.verified(source, f"{name}.parquet"))
            files.write_table(part / f"{name}.parquet", with_digests(frame, said) if said else frame)
        sums = {f"{name}.parquet": checksums.sha256(part / f"{name}.parquet") for name in tables}
        folders.write_manifest(part, folders.read_manifest(source) | {"files": sums})


def with_digests(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """A table with digests in place of the texts of one column: 12 hexadecimal digits of SHA-256."""
    digests = {text: hashlib.sha256(text.encode()).hexdigest()[:12] for text in frame[column].unique()}
    return frame.assign(**{column: frame[column].map(digests)})
