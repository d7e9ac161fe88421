"""What the YAML file of a sweep may say, field by field."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from coupling.spec import SpecError, make_spec, suggest
from coupling.sweep.names import is_path

MOST_SEEDS = 1000  # of one kind; a larger number is taken for a slip
CLAIMS = [*map(str, range(1, 12)), "own"]
_Name = Annotated[str, Field(min_length=1)]
_Number = Annotated[int, Field(ge=1, le=MOST_SEEDS, strict=True)]
_ONE_FOR_ALL = {"name", "scale", "claims", "profiles"}  # what a profile cannot replace


class Premise(BaseModel):
    """Where a claim says anything at all: how far labels must agree with current behaviour.

    The premise holds for an M0 if agreement, as a mean over its runs and on kinds that have labels, is high
    enough at every evaluation. It holds for the claim if it does for enough M0s.

    Attributes:
        agreement: The least agreement of L(S) and L(M_t).
        share: The least share of M0s for which it must hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agreement: float = Field(0.7, ge=0, le=1)
    share: float = Field(0.8, ge=0, le=1)


class Claim(BaseModel):
    """A row of the table of claims, as a sweep states it before anything is measured.

    Attributes:
        number: The number of the paper's claim (docs/method.md), or "own" for a claim of this study.
        text: The claim in words.
        tasks: Names of tasks. Each has a row and a verdict of its own. Several joined by + are pooled in one
            row.
        rule: Name of the rule that decides the claim (`coupling.analysis.claims.RULES`). Empty: nothing
            tests it.
        arguments: Arguments of the rule. A condition of this sweep stands there by its name, a condition of
            another sweep as "sweep/condition".
        part: Part of notebooks/PLAN.md in which the row was written down. None for a row that was added
            later.
        exploration: Whether the row, or the rule that now decides it, was written down after its data had
            been seen. An exploration is never "replicated".
        primary: Whether this is the one test by which the claim of the paper stands or falls. The primary
            tests of all claims are one family.
        premise: What must hold before the claim says anything. None: nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str
    text: str
    tasks: list[str] = []
    rule: str = ""
    arguments: dict[str, Any] = {}
    part: int | None = Field(None, ge=1)
    exploration: bool = False
    primary: bool = False
    premise: Premise | None = None

    @field_validator("number", mode="before")
    @classmethod
    def _is_a_claim(cls, value: Any) -> str:
        if str(value) not in CLAIMS:
            raise ValueError("expected the number of a claim of the paper, from 1 to 11, or own")
        return str(value)

    @model_validator(mode="after")
    def _is_whole(self) -> "Claim":
        if self.rule and not self.tasks:
            raise ValueError(f"rule {self.rule!r} has no tasks: name at least one")
        if self.arguments and not self.rule:
            raise ValueError("arguments without a rule: name the rule, or leave the arguments out")
        if self.part is None and not self.exploration:
            raise ValueError("a claim without a part of the plan is an exploration: add `exploration: true`")
        if self.primary and self.number == "own":
            raise ValueError("only a claim of the paper has a primary test: leave `primary` out")
        return self


class Scale(BaseModel):
    """How a sweep appears in the figure of model sizes.

    Attributes:
        condition: The condition that is shown.
        called: What stands after the task's name in the legend.
        open: Whether the marks are open instead of filled.
        replaces: A sweep that is left out in profiles where this one has been run; or empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    condition: str
    called: str = ""
    open: bool = False
    replaces: str = ""


class InAll(BaseModel):
    """What a sweep runs as a part of SWEEP=all, where this is not the sweep's own.

    Attributes:
        task: The task, several joined by +, or "all". None: the sweep's tasks.
        m0_seeds: Number of M0 seeds. None: the sweep's number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str | None = None
    m0_seeds: int | None = Field(None, ge=1)


class Sweep(BaseModel):
    """A named list of conditions with everything that is made of them.

    Attributes:
        name: Name of the sweep, or the absolute path of a user's own YAML file. The file itself does not say
            it.
        title: A few words for headings.
        question: What the sweep asks, in one or two plain sentences.
        conditions: Values of the spec by the name of the condition.
        m0_seeds: Number of M0 seeds. A model that is taken as it is has one M0, whatever this number is.
        first_m0_seed: The first M0 seed. A sweep that chooses a setting for other sweeps uses M0s of its own.
        seeds: Number of explainer seeds of each M0.
        more_seeds: Number of explainer seeds by condition, where it is another one. The excess gap needs two.
        values: Values of the spec that all conditions share.
        tasks: Tasks that are run, where not the profile's own; "all" stands for the main tasks.
        figures: Names of the figures that are drawn, modules of `coupling.report.figures`.
        axis: Field of the spec that the conditions vary, for a curve; "source_agreement" is measured instead.
        in_all: What is run as a part of SWEEP=all. None: the sweep is no part of it.
        part_of: A sweep of the study that has all runs of this one. Own results are compared with its
            committed runs of the same seeds. "": none.
        scale: How the sweep appears in the figure of model sizes. None: it does not appear.
        claims: The claims that rest on this sweep.
        profiles: By profile, what it replaces of the fields above. A profile that is not named runs the
            sweep only where it is asked for by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    title: str
    question: str
    conditions: dict[_Name, dict[str, Any]] = Field(min_length=1)
    m0_seeds: _Number
    first_m0_seed: int = Field(0, ge=0, strict=True)
    seeds: _Number
    more_seeds: dict[str, _Number] = {}
    values: dict[str, Any] = {}
    tasks: list[str] = []
    figures: list[str] = []
    axis: str = ""
    in_all: InAll | None = InAll()
    part_of: str = ""
    scale: Scale | None = None
    claims: list[Claim] = []
    profiles: dict[str, dict[str, Any]] = {}

    @field_validator("profiles", mode="before")
    @classmethod
    def _nothing_is_replaced(cls, value: Any) -> Any:
        """Let `profiles: {tiny: }` mean the same as `profiles: {tiny: {}}`."""
        return {p: {} if v is None else v for p, v in value.items()} if isinstance(value, dict) else value

    @field_validator("tasks", "figures")
    @classmethod
    def _none_stands_twice(cls, value: list[str]) -> list[str]:
        if twice := [name for name in value if value.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} stands twice: name it once")
        return value

    @property
    def file(self) -> str:
        """What messages call the sweep's file."""
        return self.name if is_path(self.name) else f"{self.name}.yaml"

    def at(self, profile: str) -> "Sweep":
        """Return the sweep as a profile has it.

        Raises:
            SpecError: Where the profile's part names an unknown field or has a value that does not fit.
        """
        replaced = self.profiles.get(profile, {})
        allowed = [name for name in Sweep.model_fields if name not in _ONE_FOR_ALL]
        for name in replaced:
            if name not in allowed:
                raise SpecError(
                    f"{self.file}, profiles.{profile}.{name}: unknown field: {suggest(name, allowed)}"
                )
        try:
            return Sweep(**(self.model_dump(exclude={"profiles"}) | replaced))
        except ValidationError as error:
            raise SpecError(mistakes(self.file, error, f"profiles.{profile}.")) from None

    def all_conditions(self) -> list[str]:
        """Return the names of the conditions of all profiles, each once."""
        every = [self, *(self.at(profile) for profile in self.profiles)]
        return list(dict.fromkeys(name for sweep in every for name in sweep.conditions))

    def places(self, profile: str) -> dict[str, float]:
        """Return where each condition stands on the axis."""
        own = self.at(profile)
        return {
            name: float(getattr(make_spec(profile, **(own.values | values)), own.axis))
            for name, values in own.conditions.items()
        }


# What is said of a value of the wrong kind, by pydantic's name for the mistake.
_EXPECTED = dict.fromkeys(
    ("dict_type", "model_type"), "expected names with values, for instance `{rank: 4}`"
) | {
    "list_type": "expected a list, for instance `[hint_qa]`",
    "string_type": "expected text; put it in quotes",
    "too_short": "name at least one",
    "int_type": "expected a whole number",
}


def mistakes(file: str, error: ValidationError, prefix: str = "") -> str:
    """Say what is wrong in a file, each value with its key."""
    lines = []
    for found in error.errors():
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
        key = prefix + key.removeprefix(".")
        holder = {"claims": Claim, "scale": Scale, "in_all": InAll}.get(
            found["loc"][0] if found["loc"] else ""
        )
        fields = [f for f in (holder or Sweep).model_fields if holder or f != "name"]
        message = found["msg"].removeprefix("Value error, ")
        message = _EXPECTED.get(found["type"], message)
        if key.endswith(".[key]"):
            empty = found["type"] == "string_too_short"
            key = key.removesuffix(".[key]") or key
            message = "give it a name" if empty else "a name is text: put it in quotes"
        if found["type"] == "extra_forbidden":
            message = f"unknown field: {suggest(str(found['loc'][-1]), fields)}"
        elif found["type"] == "missing":
            message = "this field is missing"
        elif not isinstance(found["input"], dict):
            message = f"{found['input']!r}: {message}"
        lines.append(f"{file}, {key}: {message}")
    return "; ".join(lines)
