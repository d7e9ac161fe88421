"""Behaviour shift: a second training objective that changes behaviour and has no labels."""

from typing import Literal, Self

from pydantic import model_validator

from coupling.spec.section import Section, field

SHIFTS = ("down", "up", "neutral", "reteach")


class ShiftSection(Section):
    """Fields of the shift (docs/method.md, "Shifts"). All were added after results had been committed."""

    shift: Literal["none", *SHIFTS] = field(
        "explain",
        "none",
        "objective that shifts behaviour: cues count less (down) or more (up), unrelated text is repeated"
        " (neutral), or facts are taught anew (reteach)",
        later=True,
    )
    shift_weight: float = field("explain", 1.0, "weight of the cross-entropy of the shift", later=True, gt=0)
    shift_order: Literal["with", "after", "before"] = field(
        "explain", "with", "when the shift is trained: with, after or before the explanations", later=True
    )
    shift_steps: int = field(
        "explain", 0, "number of steps of a shift after or before the explanations", later=True, ge=0
    )
    replay: float = field(
        "explain",
        0.0,
        "weight of explanation training while a later shift is trained (0: the shift alone)",
        later=True,
        ge=0,
    )

    @model_validator(mode="after")
    def check_shift(self) -> Self:
        """Check that no field of the shift is without effect."""
        if self.shift == "none" and (self.shift_order != "with" or self.shift_weight != 1):
            raise ValueError(
                f"shift_order={self.shift_order} and shift_weight={self.shift_weight} "
                "do nothing without shift; name a shift"
            )
        if (self.shift_order == "with") != (self.shift_steps == 0):
            raise ValueError(
                f"shift_steps={self.shift_steps} with shift_order={self.shift_order}: "
                "shifts after or before explanation training take steps of their own, a shift with takes none"
            )
        if self.replay and self.shift_order != "after":
            raise ValueError(
                f"replay={self.replay} with shift_order={self.shift_order}: only a shift after explanation "
                "training has something to replay; give shift_order=after"
            )
        return self
