"""Phases of training: a run trains explanations and a shift together, or one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coupling.spec.spec import Spec


@dataclass(frozen=True)
class Phase:
    """A stretch of training steps with an objective of its own.

    Attributes:
        number: The place of the phase in its run, from 0.
        spec: What the phase trains, as a specification with its own `steps`.
        start: The number of the run's steps before the phase.
    """

    number: int
    spec: Spec
    start: int

    @property
    def teaches(self) -> bool:
        """Whether the phase trains a behaviour: that of a shift, or that of the task `teach`."""
        return self.spec.shift != "none" or bool(self.spec.teach)

    @property
    def follows_shift(self) -> bool:
        """Whether the phase trains explanations after a shift, whose behaviours it must preserve."""
        return self.number > 0 and not self.teaches


def phases_of(spec: Spec) -> list[Phase]:
    """Return the phases of a run in order: two where a shift is trained after or before, else one.

    In a phase of its own a shift has the weights of explanations and of the KL term times `replay`. With an
    adapter of its own it trains no explanations, and its KL term has the full weight.
    """
    if spec.shift_order == "with":
        return [Phase(0, spec, 0)]
    single = {"shift_order": "with", "shift_steps": 0, "replay": 0.0, "shift_adapter": "same"}
    held = 1.0 if spec.shift_adapter == "own" else spec.replay
    explaining = spec.model_copy(
        update=single | {"shift": "none", "shift_weight": 1.0, "shift_reach": "labelled"}
    )
    shifting = spec.model_copy(
        update=single
        | {
            "steps": spec.shift_steps,
            "explanation_weight": spec.replay * spec.explanation_weight,
            "kl_weight": held * spec.kl_weight,
        }
    )
    first, second = (explaining, shifting) if spec.shift_order == "after" else (shifting, explaining)
    return [Phase(0, first, 0), Phase(1, second, first.steps)]
