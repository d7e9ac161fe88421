"""Explanation training: the optimiser, the adapter and the terms of the loss."""

from typing import TYPE_CHECKING, ClassVar, Literal

from coupling.spec import inputs
from coupling.spec.section import Change, Section, field

if TYPE_CHECKING:
    from coupling.spec.spec import Spec


def _chosen_contents_begin_alike(spec: "Spec") -> bool:
    """Return whether the likeliest label is sought among labels of which one may begin another."""
    sought = spec.teach or not spec.explanation_weight
    alike = "mmlu" in spec.tasks or inputs.one_name_begins_another(spec, "contents")
    return bool(sought) and spec.label_format == "content" and alike


class TrainingSection(Section):
    """Fields of training. Their limits are their only checks within the section."""

    changes: ClassVar[tuple[Change, ...]] = (
        Change(
            5,
            "labels of which one begins another are scored with the end mark",
            _chosen_contents_begin_alike,
        ),
        Change(6, "the explainer of an adapter starts from the adapter", inputs.is_adapter),
    )

    steps: int = field("explain", 300, "number of optimiser steps of explanation training", ge=1)
    batch_size: int = field("explain", 32, "number of training items in each step", ge=1)
    learning_rate: float = field("explain", 2e-3, "peak learning rate of AdamW", gt=0)
    warmup: float = field(
        "explain", 0.05, "share of the steps with a rising learning rate, before cosine decay", ge=0, lt=1
    )
    max_grad_norm: float = field("explain", 1.0, "norm to which gradients are clipped", gt=0)
    kl_weight: float = field(
        "explain",
        1.0,
        "weight of the KL divergence from the behaviours of M0 to those of the current model, on x and on x"
        " without its cue",
        ge=0,
    )
    kl_kinds: Literal["labelled", "all"] = field(
        "explain",
        "labelled",
        "kinds of items on which the KL term holds behaviour: those with labels, or those without labels as"
        " well (see held_out)",
        later=True,
    )
    rank: int = field("explain", 32, "LoRA rank, on all linear layers but the output head", ge=1)
    lora_alpha: float = field("explain", 1.0, "scale of the adapter, whatever its rank", gt=0)
    rslora: bool = field(
        "explain",
        False,
        "no effect, since lora_alpha is the scale either way (the field is in the keys of published runs)",
    )
    explanation_weight: float = field(
        "explain", 1.0, "weight of the cross-entropy of the explanations (0: none are trained)", ge=0
    )
    teach: str = field(
        "explain",
        "",
        "further task whose behaviour is taught during training, without explanations (empty: none)",
    )
    teach_weight: float = field("explain", 1.0, "weight of the cross-entropy of the taught behaviour", gt=0)
    fused: bool = field(
        "explain",
        False,
        "compute norms, gates, adapters and optimiser by fewer and larger operations, which changes rounding",
        later=True,
    )
    memory_gb: float = field(
        "explain",
        16.0,
        "memory ceiling in gigabytes (a step that needs more is summed over smaller passes)",
        gt=0,
    )
