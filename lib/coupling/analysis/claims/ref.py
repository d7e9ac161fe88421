"""A condition of a sweep, as rules and findings name it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ref:
    """A condition of a sweep.

    Attributes:
        sweep: Name of the sweep, or the path of a user's own.
        condition: Name of the condition.
    """

    sweep: str
    condition: str
