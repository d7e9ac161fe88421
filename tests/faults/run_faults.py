"""Inject faults into small studies, and write how each ended: `make faults`.

Every outcome is kept in results/faults/, under a digest of the library's code. So a run that was stopped goes
on, and a change of the library asks all of it anew. FORCE=1 asks all of it anew too. The table of all kinds
of faults is figures/data/faults.csv.
"""

import argparse
import hashlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

import batches
import damaged_files
import fetching
import places
import published
import signals
from cases import Case, Outcome, tried
from coupling import files
from coupling.runs.spec_list import code_digest
from prepared import Store

# Of each of these kinds `make test` tries the first injection.
QUICK = (
    "truncated rows (parquet)",
    "bit flipped in M0",
    "bit flipped in checkpoint",
    "missing work part",
    "SIGKILL of a run",
    "wheel with a wrong hash",
)
MODULES = (damaged_files, signals, places, fetching, published, batches)


def all_cases() -> list[Case]:
    """List every injection, in order."""
    return [case for module in MODULES for case in module.cases()]


def chosen(words: str, quick: bool) -> list[Case]:
    """List the injections of the kinds whose name has some words in it, or the few of QUICK."""
    found = [case for case in all_cases() if words in case.fault]
    first = {case.fault: case for case in reversed(found)}
    return [first[fault] for fault in QUICK] if quick else found


def place_of(case: Case, kept: Path) -> Path:
    """Return the file that keeps the outcome of an injection."""
    named = hashlib.sha256(f"{case.fault}: {case.label}".encode()).hexdigest()[:16]
    return kept / f"{named}.json"


def outcomes(cases: Sequence[Case], kept: Path, work: Path) -> list[Outcome]:
    """Do the injections that have no outcome yet, and return the outcomes of all."""
    store, found = Store(work / "prepared"), []
    for number, case in enumerate(cases, 1):
        place = place_of(case, kept)
        if not place.exists():
            outcome = tried(case, store, work / "one")
            files.write_json(place, outcome.plain())
            how = "WRONG" if outcome.wrong else (outcome.error or "the same numbers")
            print(f"{number} of {len(cases)}: {case.fault}, {case.label}: {how}", flush=True)
        found.append(Outcome(**files.read_json(place)))
    return found


def table(found: Sequence[Outcome]) -> pd.DataFrame:
    """Sum the outcomes up, one row a kind of fault, with the first error that there was."""
    frame = pd.DataFrame([outcome.plain() for outcome in found])
    counts = ["tries", "survived", "lost_rows", "false_completions"]
    grouped = frame.groupby("fault", sort=False)
    errors = grouped["error"].agg(lambda all_of: next((one for one in all_of if one), ""))
    return grouped[counts].sum().join(errors).reset_index()


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write the table of faults."""
    with files.replacing(path) as part:
        frame.to_csv(part, index=False)
    files.write_sums(path.parent, [path.name])


def main() -> int:
    """Do all injections; the exit code is 1 where one of them ended in another way than it should."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="only kinds of faults whose name has this in it")
    parser.add_argument("--quick", action="store_true", help="one injection of a few kinds")
    parser.add_argument("--force", action="store_true", help="forget the outcomes that are kept")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have let this process ignore it
    kept = files.results_dir().resolve() / "faults" / code_digest()[:12]
    if given.force:
        shutil.rmtree(kept, ignore_errors=True)
    asked = chosen(given.only, given.quick)
    with tempfile.TemporaryDirectory(prefix="faults-") as work:
        found = outcomes(asked, kept, Path(work))
    frame = table(found)
    wrong = [outcome for outcome in found if outcome.wrong]
    for outcome in wrong:
        print(f"\n{outcome.fault}, {outcome.label}:\n  " + "\n  ".join(outcome.wrong), file=sys.stderr)
    print(frame.to_string(index=False))
    if not given.only and not given.quick:
        write(frame, files.tables_dir() / "faults.csv")
    print(f"{frame['tries'].sum()} injections, {len(wrong)} of them ended otherwise than they should")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("COUPLING_QUIET", "1")
    sys.exit(main())
