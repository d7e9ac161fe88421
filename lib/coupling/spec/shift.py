"""Behaviour shift: a second training objective that changes behaviour and has no labels."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from coupling.spec.section import SCHEMA_VERSION, Change, Section, field

SHIFTS = ("down", "up", "neutral", "reteach")


class ShiftSection(Section):
    """Fields of the shift (docs/method.md, "Shifts"). All were added after results had been committed."""

    changes: ClassVar[tuple[Change, ...]] = (
        Change(
            SCHEMA_VERSION + 1,
            "the items of a shift are drawn anew where items_seed draws those of the explanations",
            lambda spec: spec.shift != "none" and spec.items_seed >= 0,
        ),
    )

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

    shift_reach: Literal["labelled", "half", "entities"] = field(
        "explain",
        "labelled",
        "items that a shift down or up acts on: those of kinds with labels, those of a random half of the"
        " kinds with labels and of the kinds without (half), or questions about a random half of the entities"
        " that tests ask about (entities)",
        later=True,
    )
    shift_adapter: Literal["same", "own"] = field(
        "explain",
        "same",
        "adapter that a shift after the explanations trains: theirs, or one of its own while theirs is"
        " frozen",
        later=True,
    )
    kl_to: Literal["m0", "shifted"] = field(
        "explain",
        "m0",
        "model whose behaviours the KL term holds: M0, or M0 after the shift alone (shifted)",
        later=True,
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
        self._check_variants()
        return self

    def _check_variants(self) -> None:
        """Check what a push reaches, which adapter it trains, and what the KL term holds."""
        if self.shift_reach != "labelled" and self.shift not in ("down", "up"):
            raise ValueError(
                f"shift_reach={self.shift_reach} with shift={self.shift}: only down and up reach chosen "
                "items; give one of them, or leave shift_reach out"
            )
        if self.shift_adapter == "own" and (self.shift_order != "after" or self.replay):
            raise ValueError(
                f"shift_adapter=own with shift_order={self.shift_order} and replay={self.replay}: an "
                "adapter of its own is for a shift after explanations; give shift_order=after, no replay"
            )
        if self.kl_to == "shifted" and (self.shift not in ("down", "up") or self.shift_order != "with"):
            raise ValueError(
                f"kl_to=shifted with shift={self.shift} and shift_order={self.shift_order}: the KL term can "
                "hold a shift alone only beside a shift down or up; give one, or leave kl_to out"
            )
