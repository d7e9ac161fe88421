"""The training loop: which entries a step reads, its gradients, the optimiser, evaluations and checkpoints.

The optimiser is AdamW without weight decay, with a linear warm-up and a cosine decay of the learning rate.
Whatever is drawn at random is a function of the spec's seed and the step. So a run that was stopped and
resumed ends in the same numbers as one that was never stopped.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup

from coupling.errors import StudyError
from coupling.measure.behaviours import NotFinite
from coupling.models import Loaded
from coupling.models.memory import give_back
from coupling.progress import progress
from coupling.spec import Spec
from coupling.training.checkpoints import (
    SECONDS,
    leaving_later,
    load_checkpoint,
    save_checkpoint,
    trainable,
)
from coupling.training.data import TrainingSet
from coupling.training.loss import losses, term_weights
from coupling.training.passes import entry_sizes, passes, tokens_in_memory


class Diverged(StudyError, RuntimeError):
    """Training reached a loss, a gradient or a model that is not finite; the message names the step.

    Attributes:
        history: The rows of the steps up to that one, as `train` returns them.
    """

    def __init__(self, message: str, history: list[dict[str, float]]):
        super().__init__(message)
        self.history = history


def train(
    spec: Spec, loaded: Loaded, data: TrainingSet, folder: Path, evaluate: Callable[[int], TrainingSet | None]
) -> list[dict[str, float]]:
    """Train the adapter of a model for `spec.steps` steps.

    Args:
        spec: Says how to train.
        loaded: The model with its adapter, whose weights are changed.
        data: What is trained on.
        folder: Where the checkpoint is kept. If one is there, training goes on from it.
        evaluate: Called with the step at each of the spec's evaluation steps, 0 included. If it returns a
            training set, that one is trained on from there. After a resume it is called again for the last
            evaluation step that was reached. It must draw nothing at random.

    Returns:
        One row a step: step (from 1), loss, cross_entropy, kl, taught (means over the step's entries),
        learning_rate and grad_norm (before clipping).

    Raises:
        Diverged: If a loss or a gradient is not finite, or what the model computes in an evaluation.
        MemoryCeiling: If one training item does not fit under `spec.memory_gb`.
    """
    optimizer, schedule, step, history = _resumed(spec, loaded.model, folder)
    due = set(spec.evaluation_steps)

    def look() -> TrainingSet | None:
        try:
            return evaluate(max(s for s in due if s <= step))
        except NotFinite as error:
            if not history:  # M0 itself
                raise
            raise Diverged(_diverged(spec, str(error), step), history) from None

    data = look() or data
    sizes = entry_sizes(spec, data)
    tokens = tokens_in_memory(spec, loaded, data, sizes)
    saved = time.monotonic()
    bar = progress(spec.steps, "explanation training", step)
    while step < spec.steps:
        step += 1
        with leaving_later() as asked_to_leave:
            entries = entries_of(spec, data, step)
            parts = passes([sizes[e] for e in entries], tokens)
            history.append({"step": step} | add_gradients(spec, loaded, data, entries, parts))
            _move(spec, optimizer, history)
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            bar.update()
            # Before an evaluation, so that a process that is ended meanwhile need not train again.
            if step in due or asked_to_leave() or time.monotonic() - saved > SECONDS:
                save_checkpoint(folder, loaded.model, optimizer, step, history)
                saved = time.monotonic()
        if step in due:
            give_back(spec.memory_gb)
            if anew := look():
                data = anew
                sizes = entry_sizes(spec, data)
    bar.close()
    return history


def _resumed(
    spec: Spec, model: torch.nn.Module, folder: Path
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, int, list[dict[str, float]]]:
    """Make optimiser and schedule, and bring them and the model to the checkpoint, if there is one.

    Returns:
        Optimiser, schedule, the number of steps taken so far (0 without a checkpoint), and their rows.
    """
    optimizer = optimizer_of(spec, model)
    step, history, _ = load_checkpoint(folder, model, optimizer)
    optimizer.param_groups[0]["initial_lr"] = spec.learning_rate
    schedule = get_cosine_schedule_with_warmup(
        optimizer, round(spec.warmup * spec.steps), spec.steps, last_epoch=step - 1
    )
    return optimizer, schedule, step, history


def optimizer_of(spec: Spec, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Make the optimiser of a model's trainable weights: AdamW without weight decay."""
    weights = [p for _, p in trainable(model)]
    optimizer = torch.optim.AdamW(weights, lr=spec.learning_rate, weight_decay=0.0, fused=spec.fused or None)
    if spec.fused:
        # The fused step leaves version counters as they are, which say when kept casts must be made anew.
        optimizer.register_step_post_hook(lambda *_: torch.autograd.graph.increment_version(weights))
    return optimizer


def _move(spec: Spec, optimizer: torch.optim.Optimizer, history: list[dict[str, float]]) -> None:
    """Clip the gradients, complete the last row of the history, and let the optimiser move the weights.

    Raises:
        Diverged: If the loss or the norm of the gradient is not finite; the weights have not moved then.
    """
    row, (group,) = history[-1], optimizer.param_groups
    row["learning_rate"] = group["lr"]
    row["grad_norm"] = float(torch.nn.utils.clip_grad_norm_(group["params"], spec.max_grad_norm))
    if not math.isfinite(row["loss"]) or not math.isfinite(row["grad_norm"]):
        raise Diverged(_diverged(spec, f"loss {row['loss']}", row["step"]), history)
    optimizer.step()


def _diverged(spec: Spec, what: str, step: int) -> str:
    return f"{what} at step {step} of {spec.steps}: lower learning_rate={spec.learning_rate}"


def entries_of(spec: Spec, data: TrainingSet, step: int) -> list[int]:
    """Choose the entries of a step (from 1).

    A step has `batch_size` training items, and none where no term of the loss reads items. If there are held
    items, it has as many of them as hold kinds with and without labels alike, at least one. If there are
    taught entries, it has `batch_size` of them.
    """
    items = spec.batch_size if spec.explanation_weight or spec.kl_weight else 0
    held = max(1, round(spec.batch_size * spec.held_out / (1 - spec.held_out))) if data.held else 0
    taught = spec.batch_size if data.taught else 0
    sizes = ((len(data.seams), items), (len(data.held), held), (len(data.taught), taught))
    entries, first = [], 0
    for n, chosen in sizes:
        if chosen:
            entries += (first + item_order(n, chosen, spec.seed, step)).tolist()
        first += n
    return entries


def item_order(n: int, size: int, seed: int, step: int) -> np.ndarray:
    """Choose the items of a step (from 1).

    Every epoch holds each of n items once, in a random order of its own.

    Returns:
        Indices below n; int64 [size].
    """
    places = np.arange((step - 1) * size, step * size)
    orders = {e: np.random.default_rng([seed, 3, int(e)]).permutation(n) for e in np.unique(places // n)}
    return np.array([orders[p // n][p % n] for p in places])


def add_gradients(
    spec: Spec, loaded: Loaded, data: TrainingSet, entries: Sequence[int], parts: Sequence[slice]
) -> dict[str, float]:
    """Add the gradients of one step to the adapter's weights, one forward and backward pass after the other.

    Args:
        spec: Gives the weights of the loss (training/loss.py).
        loaded: The model with its adapter.
        data: The training set.
        entries: The step's entries.
        parts: Slices of the entries; each is a pass of its own.

    Returns:
        "loss", and its terms "cross_entropy", "kl" and "taught" without their weights, as means over the
        step's items ("kl" with its held items; "taught" over its taught entries).
    """
    weights = term_weights(spec)
    items, behaving = (sum(e < n for e in entries) for n in (len(data.seams), data.behaving))
    counts = {"cross_entropy": items, "kl": behaving, "taught": len(entries) - behaving}
    totals = dict.fromkeys(weights, 0.0)
    for part in parts:
        give_back(spec.memory_gb)
        sums = losses(spec, loaded, data, entries[part])
        with loaded.products():
            sum(weights[n] * sums[n] / max(1, counts[n]) for n in weights).backward()
        for name in weights:
            totals[name] += sums[name].item() / max(1, counts[name])
    return {"loss": sum(weights[n] * totals[n] for n in weights)} | totals
