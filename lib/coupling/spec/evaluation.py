"""Evaluation: at how many steps, on how many items, and in what batches models are evaluated."""

from typing import ClassVar

from coupling.spec import inputs
from coupling.spec.section import Change, Section, field


class EvaluationSection(Section):
    """Fields of the evaluation. Their limits are their only checks within the section."""

    changes: ClassVar[tuple[Change, ...]] = (
        Change(5, "all end marks of a model count, and it generates greedily", inputs.generation_differs),
        Change(
            6,
            "choices of which one begins another are scored with the end mark",
            lambda spec: inputs.one_name_begins_another(spec, "choices"),
        ),
        Change(7, "a label that the tokenizer altered is taken for the label", inputs.tokenizer_alters_names),
        Change(
            8,
            "templates print a fixed date and are told not to think, and a user's words are words, not marks",
            lambda spec: inputs.template_differs(spec) or inputs.words_hold_marks(spec),
        ),
    )

    eval_batch: int = field(
        "base",
        256,
        "number of items in one evaluation batch (results in half precision depend on it)",
        ge=1,
    )
    decode_batch: int = field(
        "base",
        0,
        "number of explanations that are decoded together, where it is more than eval_batch (0: eval_batch)",
        later=True,
        ge=0,
    )
    evaluations: int = field(
        "explain", 4, "number of evenly spaced evaluations after step 0, the final step included", ge=1
    )
    interim_items: int = field(
        "explain", 512, "number of test items of each evaluation before the last one", ge=1
    )
