"""Explanation training: LoRA on fixed labels, with the behaviours held near M0's by a KL term.

The loss of a step is, over its items,

    explanation_weight * mean cross-entropy of the label's tokens (the completion alone)
    + kl_weight * mean of KL(B(M0) || B(M_t)) over x and x without the cue
    + teach_weight or shift_weight * mean cross-entropy of a taught behaviour, if there is one,

B being the distribution over an item's choices, or, where behaviour is a reply, over the whole vocabulary at the first
tokens of M0's own reply. Labels and B(M0) are fixed before the first step. Whatever is drawn
is a function of the seed and the step, so a run that is resumed ends in the numbers of one that was never stopped.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup

from coupling.errors import StudyError
from coupling.models import (
    Loaded,
)
from coupling.models.memory import (
    give_back,
)
from coupling.progress import progress
from coupling.spec import Spec
from coupling.training.checkpoints import SECONDS, load_checkpoint, save_checkpoint, trainable
from coupling.training.data import TrainingSet
from coupling.training.loss import losses
from coupling.training.passes import passes, size, tokens_in_memory


class Diverged(StudyError, RuntimeError):
    """Training reached a loss that is not finite; the message names the step. history: the rows up to it."""

    def __init__(self, message: str, history: list[dict[str, float]]):
        super().__init__(message)
        self.history = history


def item_order(n: int, size: int, seed: int, step: int) -> np.ndarray:
    """Indices of the items of `step` (from 1): epochs of n items, each in an order of its own; int64 [size]."""
    places = np.arange((step - 1) * size, step * size)
    orders = {e: np.random.default_rng([seed, 3, int(e)]).permutation(n) for e in np.unique(places // n)}
    return np.array([orders[p // n][p % n] for p in places])


def train(
    spec: Spec, loaded: Loaded, data: TrainingSet, folder: Path, evaluate: Callable[[int], TrainingSet | None]
) -> list[dict[str, float]]:
    """Train the adapter of `loaded` for `spec.steps` steps, calling `evaluate(step)` at the spec's evaluation steps; what it
    returns, if anything, is trained on from there.

    Resumes from the checkpoint in `folder`; `evaluate` is called again for the last step that was due, and must draw
    nothing at random. Returns one row a step: step, loss, cross_entropy, kl, learning_rate, grad_norm. Raises
    Diverged where the loss is not finite.
    """
    model = loaded.model
    parameters = [p for _, p in trainable(model)]
    optimizer = torch.optim.AdamW(parameters, lr=spec.learning_rate, weight_decay=0.0)
    step, history, _ = load_checkpoint(folder, model, optimizer)
    optimizer.param_groups[0]["initial_lr"] = spec.learning_rate
    schedule = get_cosine_schedule_with_warmup(
        optimizer, round(spec.warmup * spec.steps), spec.steps, last_epoch=step - 1
    )
    due = set(spec.evaluation_steps)
    data = evaluate(max(s for s in due if s <= step)) or data
    sizes = [size(data.group(e, spec)) for e in range(len(data.seams) + len(data.taught))]
    tokens = tokens_in_memory(spec, loaded, data, sizes)
    saved = time.monotonic()
    bar = progress(spec.steps, "explanation training", step)
    while step < spec.steps:
        step += 1
        entries = entries_of(spec, data, step)
        row = {"step": step} | add_gradients(
            spec, loaded, data, entries, passes([sizes[e] for e in entries], tokens)
        )
        row["learning_rate"] = optimizer.param_groups[0]["lr"]
        row["grad_norm"] = float(torch.nn.utils.clip_grad_norm_(parameters, spec.max_grad_norm))
        history.append(row)
        if not math.isfinite(row["loss"]) or not math.isfinite(row["grad_norm"]):
            raise Diverged(
                f"loss {row['loss']} at step {step} of {spec.steps}: lower learning_rate={spec.learning_rate}",
                history,
            )
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        bar.update()
        if step in due:
            give_back(spec.memory_gb)
            if anew := evaluate(step):
                data = anew
                sizes = [size(data.group(e, spec)) for e in range(len(sizes))]
        if step in due or time.monotonic() - saved > SECONDS:
            save_checkpoint(folder, model, optimizer, step, history)
            saved = time.monotonic()
    bar.close()
    return history


def entries_of(spec: Spec, data: TrainingSet, step: int) -> list[int]:
    """The entries of a step: `batch_size` items, unless no loss reads them, and as many of those whose behaviour is taught, if there are any."""
    entries = (
        item_order(len(data.seams), spec.batch_size, spec.seed, step).tolist()
        if spec.explanation_weight or spec.kl_weight
        else []
    )
    if data.taught:
        entries += (len(data.seams) + item_order(len(data.taught), spec.batch_size, spec.seed, step)).tolist()
    return entries


def add_gradients(
    spec: Spec, loaded: Loaded, data: TrainingSet, entries: Sequence[int], parts: Sequence[slice]
) -> dict[str, float]:
    """Add up the gradients of one step, each part of its entries in a pass of its own; returns its losses, means over the entries."""
    weights = {
        "cross_entropy": spec.explanation_weight,
        "kl": spec.kl_weight,
        "taught": spec.teach_weight if spec.teach else spec.shift_weight,
    }
    items = sum(e < len(data.seams) for e in entries)
    counts = {"cross_entropy": max(1, items), "kl": max(1, items), "taught": max(1, len(entries) - items)}
    totals = dict.fromkeys(weights, 0.0)
    for part in parts:
        give_back(spec.memory_gb)
        sums = losses(spec, loaded, data, entries[part])
        with loaded.products():
            sum(weights[n] * sums[n] / counts[n] for n in weights).backward()
        for name in weights:
            totals[name] += sums[name].item() / counts[name]
    return {"loss": sum(weights[n] * totals[n] for n in weights)} | totals
