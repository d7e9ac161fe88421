"""Circuits: on how many items the sites of a trained model are patched, and at how many of its layers."""

from typing import Self

from pydantic import model_validator

from coupling.spec.section import Section, field


class CircuitsSection(Section):
    """Fields of the circuits (docs/method.md, "Circuits"). All were added when results had been committed."""

    patched_items: int = field(
        "circuits",
        0,
        "number of test items of each task on which the sites of the trained model are patched (0: none)",
        later=True,
        ge=0,
    )
    patched_layers: int = field(
        "circuits",
        0,
        "number of layers that are patched, evenly spaced with the last among them (0: all)",
        later=True,
        ge=0,
    )

    @model_validator(mode="after")
    def check_circuits(self) -> Self:
        """Check that there are two items to be patched, if any, and that layers are not named in vain."""
        if self.patched_items == 1:
            raise ValueError("patched_items=1: a patch takes states of another item; give at least 2, or 0")
        if self.patched_layers and not self.patched_items:
            raise ValueError(
                f"patched_layers={self.patched_layers} changes nothing without items; give patched_items too"
            )
        return self
