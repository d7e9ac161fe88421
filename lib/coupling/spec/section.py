"""What all sections of the specification share: stages, fields, declared changes of code, and errors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coupling.errors import StudyError

if TYPE_CHECKING:
    from coupling.spec.spec import Spec

STAGES = ("m0", "items", "base", "labels", "explain", "circuits")

# The version of the code as a whole. A higher number makes every committed result invalid. Declare a `Change`
# in one section instead, wherever a change of code touches the results of that section alone.
SCHEMA_VERSION = 4


class SpecError(StudyError, ValueError):
    """A specification that cannot be run. The message names the field, its value and the way out."""


@dataclass(frozen=True)
class Change:
    """A declared change of code that changes the results of some specifications.

    Attributes:
        version: The section's schema version from this change on. It is above `SCHEMA_VERSION` and above the
            versions of the section's earlier changes.
        what: What changed, in one sentence.
        applies: Whether the results of a specification change. The keys of all other specifications stay.
    """

    version: int
    what: str
    applies: Callable[["Spec"], bool]

    def __post_init__(self) -> None:
        if self.version <= SCHEMA_VERSION:
            raise ValueError(
                f"version={self.version} of the change {self.what!r}: "
                f"give a version above SCHEMA_VERSION={SCHEMA_VERSION}"
            )


def field(stage: str, default: Any, description: str, *, later: bool = False, **limits: Any) -> Any:
    """Declare a field of the specification.

    Args:
        stage: The first stage whose result the field can change. The field enters the keys of this stage and
            of all later stages. "none" marks a field that changes no result and enters no key.
        default: The value where neither the profile nor the user gives one.
        description: The help text of the command-line option.
        later: Whether the field was added after results had been committed. Its default must then change
            nothing. At its default such a field enters no key, so that earlier keys stay valid.
        **limits: Limits that pydantic checks, for instance `ge=0`.
    """
    marks = {"stage": stage, "later": later}
    return Field(default, description=description, json_schema_extra=marks, **limits)


class Section(BaseModel):
    """A group of fields with the checks that need no other section's fields.

    Attributes:
        changes: The section's declared changes of code, oldest first. A change enters the keys of the
            section's first stage and of all later stages, but only for the specifications that it applies to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    changes: ClassVar[tuple[Change, ...]] = ()

    @classmethod
    def first_stage(cls) -> str:
        """Return the earliest stage that one of the section's fields belongs to."""
        own = {declared.json_schema_extra["stage"] for declared in cls.model_fields.values()}
        return next(stage for stage in STAGES if stage in own)

    @classmethod
    def version_for(cls, spec: "Spec") -> int:
        """Return the highest version of the changes that apply to a specification, else `SCHEMA_VERSION`."""
        return max([SCHEMA_VERSION, *(change.version for change in cls.changes if change.applies(spec))])


def complaint(error: ValidationError) -> str:
    """Return what pydantic found wrong as one line, with the name and the value of each wrong field."""
    found = []
    for one in error.errors():
        place = ".".join(map(str, one["loc"]))
        message = one["msg"].removeprefix("Value error, ")
        found.append(f"{place}={one['input']!r}: {message}" if place else message)
    return "; ".join(found)
