"""The labels: the training items, and the fixed explanations that are trained on them."""

from typing import Literal, Self

from pydantic import model_validator

from coupling.spec.section import Section, field

LABEL_CHANGES = ("rule", "hash", "random", "shuffled")


class LabelsSection(Section):
    """Fields of the labels (docs/method.md, "Labels and explanations")."""

    seed: int = field(
        "labels", 0, "seed of the explainer: its adapter, and the order and cues of the training items", ge=0
    )
    items_seed: int = field(
        "labels",
        -1,
        "seed of the training items and their cues, for explainers that share them (-1: the explainer's own"
        " seed)",
        later=True,
        ge=-1,
    )
    train_items: int = field("labels", 4096, "number of training items, over all tasks", ge=1)
    held_out: float = field(
        "labels",
        0.0,
        "share of the kinds of items (subjects, topics of stories or of requests) that get no labels",
        ge=0,
        lt=1,
    )
    source: str = field(
        "explain",
        "",
        "label source S: the fields in which S differs from M0, for instance m0_seed=1 (empty: M0 itself)",
    )
    source_share: float = field(
        "explain", 1.0, "share of the labels that come from S (the others come from M0)", ge=0, le=1
    )
    label_change: Literal["none", *LABEL_CHANGES] = field(
        "explain",
        "none",
        "how some labels are changed: by a rule that can be learnt, on items that a hash picks, to a random"
        " other label, or shuffled among items",
    )
    label_change_share: float = field("explain", 0.0, "share of the labels that are changed", ge=0, le=1)
    relabel: bool = field(
        "explain",
        False,
        "make the labels anew from the current model at every evaluation (an upper reference)",
    )
    label_format: Literal["letter", "content"] = field(
        "explain", "letter", "whether labels name an option by its letter or by its content"
    )
    allow_constant_labels: bool = field(
        "explain", False, "train even if more than 90 % of the labels are the same text"
    )

    @property
    def draw(self) -> int:
        """The seed that draws the training items and their cues."""
        return self.seed if self.items_seed < 0 else self.items_seed

    @model_validator(mode="after")
    def check_labels(self) -> Self:
        """Check that no field of the labels is without effect."""
        if (self.label_change == "none") != (self.label_change_share == 0):
            raise ValueError(
                f"label_change={self.label_change} and label_change_share={self.label_change_share}: "
                "one without the other changes nothing; give both or neither"
            )
        if self.source_share < 1 and not self.source:
            raise ValueError(
                f"source_share={self.source_share}: there is no label source other than M0; give source"
            )
        return self
