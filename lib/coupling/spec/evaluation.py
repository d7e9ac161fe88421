"""Evaluation: at how many steps, on how many items, and in what batches models are evaluated."""

from coupling.spec.section import Section, field


class EvaluationSection(Section):
    """Fields of the evaluation. Their limits are their only checks within the section."""

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
