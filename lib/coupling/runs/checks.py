"""The check of a run before anything is computed: its model, its tokenizer and its items together.

Every run is checked (`check_run`). `report` says what was checked, for people who prepare items or a model.
"""

import warnings
from typing import Any

from coupling.measure.behaviours import behaviour_texts
from coupling.measure.checking import Checked, check
from coupling.measure.explanations import request
from coupling.measure.wording import possible_labels
from coupling.models import Loaded, ModelError
from coupling.models.template import WORD_END, WORD_START
from coupling.runs.m0 import Models
from coupling.runs.result import items_of
from coupling.spec import Spec
from coupling.tasks import Item
from coupling.training import estimate
from coupling.training.preparation import start


def check_run(spec: Spec, loaded: Loaded, items: list[Item]) -> Checked:
    """Check that the model of a run can be asked its items. Warnings are shown once each.

    Args:
        spec: The run.
        loaded: Its model, or its label source.
        items: The items that the model is asked.

    Raises:
        CheckError: If it cannot; see `coupling.measure.checking.check`.
    """
    found = check(loaded, items, dict.fromkeys(("letter", spec.label_format)))
    for text in found.warnings:
        warnings.warn(f"model={spec.model}: {text}", stacklevel=2)
    return found


def report(spec: Spec, models: Models | None = None) -> dict[str, Any]:
    """Check a run without running it.

    An organism is checked before its preparation, since it is not there yet.

    Args:
        spec: The run.
        models: Gets the model, for a caller that goes on with it.

    Returns:
        model, task, items: What was checked.
        labels, altered: The number of label texts that come back from the tokenizer, and how many of them the
            tokenizer alters.
        longest, positions: The most tokens that the model is given at once, and the most that it takes.
        ends: The marks that end a reply.
        packed: Whether the model takes packed prefix trees, or runs in plain batches.
        adapter_share: The share of the weights between embeddings and output head that gets an adapter.
        memory_gb: What weights and adapter need in training, in 10^9 bytes; None where that is not known.
        warnings: What does not forbid a run but should be known.
        prompts: For the first test item the texts that the model reads, and a label.

    Raises:
        StudyError: If the spec, the items or the model cannot be used.
    """
    train, test = items_of(spec)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        loaded = start(spec) if spec.m0_steps else (models or Models()).load(spec)
    found = check(loaded, train + test, dict.fromkeys(("letter", spec.label_format)))
    return {
        "model": spec.model,
        "task": spec.task,
        "items": {"train": len(train), "test": len(test)},
        "labels": found.labels,
        "altered": found.altered,
        "longest": found.longest,
        "positions": found.positions,
        "ends": loaded.tokenizer.convert_ids_to_tokens(list(loaded.ends)),
        "packed": loaded.packs,
        "adapter_share": found.adapter_share,
        "memory_gb": None if spec.m0_steps else _memory(spec),
        "warnings": [
            *(str(w.message) for w in shown if issubclass(w.category, UserWarning)),
            *found.warnings,
        ],
        "prompts": _prompts(spec, loaded, test[0]),
    }


def _memory(spec: Spec) -> float | None:
    """Estimate the memory of weights and adapter in training; None for what torch cannot reckon so."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # transformers warns of its own names
            found = estimate.needed(spec)
    except (ModelError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None
    return found["weights_gb"] + found["adapter_gb"]


def _prompts(spec: Spec, loaded: Loaded, item: Item) -> dict[str, str]:
    x, without = behaviour_texts(loaded, item)
    texts = {"x": x, "x without the cue": without, "request": request(loaded, item)}
    shown = {name: text.replace(WORD_START, "").replace(WORD_END, "") for name, text in texts.items()}
    return shown | {"label": possible_labels(item, spec.label_format)[-1]}
