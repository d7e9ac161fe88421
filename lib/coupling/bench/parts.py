"""The parts of the bench: what can be measured alone, and how a user names it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coupling.bench import attention, decoding, growth, processes, timing
from coupling.bench.cases import GROWN, WORKED, Case
from coupling.bench.timing import Rows
from coupling.errors import StudyError
from coupling.runs import Models

# What measures a case, in a precision, and returns by table its rows. They are taken in this order.
MEASURES: dict[str, Callable[[Case | None, str, Models], dict[str, Rows]]] = {
    "memory": lambda case, precision, _: {"bench": processes.memories(case, precision)},
    "train": lambda *given: timing.training(*given),
    "eval": lambda *given: timing.evaluation(*given),
    "decoding": lambda case, _, models: {"bench_decoding": [decoding.decoding(case, models)]},
    "workers": lambda *_: {"bench": [processes.workers()]},
    "growth": lambda *given: {"bench_scaling": growth.scaling(*given)},
    "attention": lambda *_: {"bench_attention": attention.errors_here()},
}
_ON = {"workers": WORKED, "growth": GROWN}  # what is measured on one case alone
_WITHOUT_MODEL = ("attention",)
IN_PRECISION = ("memory", "train", "eval", "growth")  # the others choose no precision, or take that of runs


class BenchError(StudyError, ValueError):
    """There is no such part of the bench; the message names those that there are."""


@dataclass(frozen=True)
class Part:
    """A measure of MEASURES on a case; on none where no model is needed."""

    measure: str
    case: Case | None

    @property
    def name(self) -> str:
        """The name that the part is kept under."""
        return f"{self.measure}-{self.case.name}" if self.case else self.measure


def parts(cases: Mapping[str, Case]) -> list[Part]:
    """List all parts on some cases, in the order in which they are measured."""
    found = []
    for measure in MEASURES:
        if measure in _WITHOUT_MODEL:
            found.append(Part(measure, None))
        else:
            on = _ON.get(measure)
            found += [Part(measure, case) for case in cases.values() if on in (None, case.name)]
    return found


def selected(asked: str, cases: Mapping[str, Case]) -> list[Part]:
    """Choose parts by a list of names.

    Args:
        asked: Names of measures and of models, separated by commas, such as "train,small". A part is chosen
            if its measure is named, or no measure is, and if its model is named, or no model is. An empty
            list chooses all parts.
        cases: The cases by name. A case is named by its name or its short name.

    Raises:
        BenchError: If a name is unknown, or if no part has the measures and models that are named.
    """
    names = [name.strip().lower() for name in asked.split(",") if name.strip()]
    models = {name.lower(): case for case in cases.values() for name in (case.short, case.name)}
    if unknown := [name for name in names if name not in MEASURES and name not in models]:
        raise BenchError(
            f"the bench has no part {unknown[0]!r}: measures are {', '.join(MEASURES)}; "
            f"models are {', '.join(case.short for case in cases.values())}"
        )
    measures = {name for name in names if name in MEASURES}
    chosen = [models[name] for name in names if name in models]
    found = [
        part
        for part in parts(cases)
        if (not measures or part.measure in measures)
        and (part.case in chosen if part.case and chosen else measures or not chosen)
    ]
    if not found:
        (measure, *_) = measures
        raise BenchError(
            f"the bench measures {measure} on {cases[_ON[measure]].short} alone, not on {asked!r}"
        )
    return found
