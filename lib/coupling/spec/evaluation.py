"""Evaluation: at how many steps, on how many items, and in what batches models are evaluated."""

from typing import TYPE_CHECKING, ClassVar

from coupling.spec import inputs
from coupling.spec.m0 import ORGANISMS
from coupling.spec.section import SCHEMA_VERSION, Change, Section, field
from coupling.tasks import task_names, task_of

if TYPE_CHECKING:
    from coupling.spec.spec import Spec


def _reads_real_replies(spec: "Spec") -> bool:
    """Whether the detector reads replies of a model that is no organism."""
    known = {*spec.tasks} & {*task_names()}
    return spec.model not in ORGANISMS and any(task_of(name).declines for name in known)


class EvaluationSection(Section):
    """Fields of the evaluation. Their limits are their only checks within the section."""

    changes: ClassVar[tuple[Change, ...]] = (
        Change(
            SCHEMA_VERSION + 1,
            "The detector reads refusals that state a norm, a fact about the speaker or a caution.",
            _reads_real_replies,
        ),
        Change(
            SCHEMA_VERSION + 2,
            "All end marks of a model count, and it generates greedily.",
            inputs.generation_differs,
        ),
        Change(
            SCHEMA_VERSION + 3,
            "Choices of which one begins another are scored with the end mark.",
            lambda spec: inputs.one_name_begins_another(spec, "choices"),
        ),
        Change(
            SCHEMA_VERSION + 4,
            "A label that the tokenizer altered is taken for the label.",
            inputs.tokenizer_alters_names,
        ),
        Change(
            SCHEMA_VERSION + 5,
            "Templates print a fixed date and are told not to think; a user's words are words, not marks.",
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
    judge: str = field(
        "base",
        "",
        "model that is asked whether replies refuse, beside the detector: a packaged model, a hub model"
        " or a local folder (empty: none)",
        later=True,
    )
    evaluations: int = field(
        "explain", 4, "number of evenly spaced evaluations after step 0, the final step included", ge=1
    )
    interim_items: int = field(
        "explain", 512, "number of test items of each task at each evaluation before the last one", ge=1
    )
