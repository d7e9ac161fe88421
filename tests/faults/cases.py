"""What an injection is, and how it is judged."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from laboratory import Ended, Study
from prepared import Prepared, Store

Rows = dict[str, list[str]]


def rows_of_runs(study: Study, ended: Ended) -> Rows:
    """Read the rows of all runs that are complete."""
    return study.finished()


@dataclass(frozen=True)
class Case:
    """An injection into a fresh copy of a small study, or several into one copy, one after the other.

    Attributes:
        fault: The kind of fault, a row of the table of faults.
        label: What tells this injection from the others of its kind.
        of: Prepares the study.
        inject: Does the harm. It returns how the commands ended that it disturbed; each is an injection.
        heal: Does what the error says, where the command ends in one: study, and the study before the harm.
        names: What the error must name.
        command: The command that is given afterwards; empty: the study's own.
        numbers: Reads the final numbers, which must be those of the undisturbed study.
        may_stop: Whether the disturbed commands may end in any way, because they were signalled.
    """

    fault: str
    label: str
    of: Callable[[Store], Prepared]
    inject: Callable[[Study], Sequence[Ended] | None]
    heal: Callable[[Study, Study], None] = lambda study, before: None
    names: str = ""
    command: tuple[str, ...] = ()
    numbers: Callable[[Study, Ended], Rows] = rows_of_runs
    may_stop: bool = False


@dataclass
class Outcome:
    """How an injection ended; the columns of the table of faults, and what is wrong where something is."""

    fault: str
    label: str
    tries: int
    survived: int = 0
    lost_rows: int = 0
    false_completions: int = 0
    error: str = ""
    wrong: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return the outcome as JSON has it."""
        return asdict(self)


def tried(case: Case, store: Store, folder: Path) -> Outcome:
    """Inject, give the ordinary command again, and compare its numbers with those of the undisturbed study.

    Where the command ends in an error, the error must be one clear line that names the file. What the error
    asks for is then done, and the command is given once more.
    """
    prepared = case.of(store)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared.study.top, folder, symlinks=True)
    study = type(prepared.study)(folder, prepared.study.words)
    disturbed = list(case.inject(study) or ())
    outcome = Outcome(case.fault, case.label, max(1, len(disturbed)))
    for ended in disturbed if not case.may_stop else ():
        _judge_error(outcome, case, ended, study)
    outcome.false_completions += _false(prepared, case.numbers(study, Ended(1, "")))
    ended = _again(case, study)
    _judge_error(outcome, case, ended, study)
    if ended.code:
        outcome.false_completions += _false(prepared, case.numbers(study, ended))
        case.heal(study, prepared.study)
        ended = _again(case, study)
        if ended.code:
            outcome.wrong.append(f"what the error says does not help: {ended.said[-2000:]}")
    found = case.numbers(study, ended)
    outcome.lost_rows = sum(
        len(set(rows) - set(found.get(name, []))) for name, rows in prepared.wanted.items()
    )
    missing = not ended.code and any(name not in found for name in prepared.wanted)
    outcome.false_completions += _false(prepared, found) + missing
    if outcome.lost_rows or outcome.false_completions:
        outcome.wrong.append(f"other rows or fewer; the command said: {ended.said[-2000:]}")
    outcome.survived = outcome.tries if not outcome.wrong else 0
    return outcome


def _again(case: Case, study: Study) -> Ended:
    return study.run(*case.command)


def _judge_error(outcome: Outcome, case: Case, ended: Ended, study: Study) -> None:
    """Keep the error of a command, and note what is wrong with it."""
    if not ended.code:
        return
    error = ended.error().replace(f"{study.top}/", "")
    outcome.error = error or outcome.error
    if error.startswith("NOT CLEAR"):
        outcome.wrong.append(f"no clear error: {ended.said[-2000:]}")
    elif case.names not in error:
        outcome.wrong.append(f"the error does not name {case.names}: {error}")


def _false(prepared: Prepared, found: Rows) -> int:
    """Count what is taken for complete and has other rows than in the undisturbed study."""
    return sum(rows != prepared.wanted[name] for name, rows in found.items() if name in prepared.wanted)
