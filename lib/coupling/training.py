"""Explanation training: LoRA on fixed labels, with the behaviours held near M0's by a KL term.

The loss of a step is, over its items,

    mean cross-entropy of the label's tokens (the completion alone)
    + kl_weight * mean of KL(B(M0) || B(M_t)) over x and x without the cue,

B being the distribution over an item's choices. Labels and B(M0) are fixed before the first step. Whatever is drawn
is a function of the seed and the step, so a run that is resumed ends in the numbers of one that was never stopped.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import get_cosine_schedule_with_warmup

from coupling import store
from coupling.behaviours import Behaviours, behaviour_seams
from coupling.explanations import explanation_seam
from coupling.memory import PROCESS_BYTES, SLACK, MemoryCeiling, checkpoint_layers, kept_bytes, weight_bytes
from coupling.models import Loaded, Seam, continuation_logprobs, fed, pad, plain_logprobs, prefix_tree
from coupling.progress import progress
from coupling.spec import Spec
from coupling.tasks import Item

CHECKPOINT_SECONDS = 60.0


class Diverged(RuntimeError):
    """Training reached a loss that is not finite; the message names the step. history: the rows up to it."""

    def __init__(self, message: str, history: list[dict[str, float]]):
        super().__init__(message)
        self.history = history


@dataclass(frozen=True)
class TrainingSet:
    """Everything that training reads: token ids with the fixed labels among them, and M0's fixed distributions.

    seams: of each item, where its choices follow x, where they follow x without the cue, and where its label follows
    the explanation request. reference: M0's renormalised log-probabilities, float32 [items, 2, choices], x first.
    """

    seams: tuple[tuple[Seam, Seam, Seam], ...]
    reference: torch.Tensor


def training_set(m0: Loaded, items: Sequence[Item], b0: Behaviours, labels: Sequence[str]) -> TrainingSet:
    """The training set of items with these M0 behaviours and label texts."""
    return TrainingSet(
        tuple((*behaviour_seams(m0, i), explanation_seam(m0, i, t)) for i, t in zip(items, labels, strict=True)),
        torch.from_numpy(np.stack([b0.distribution("x"), b0.distribution("cf")], 1)).to(m0.device),
    )


def losses(
    loaded: Loaded, seams: Sequence[tuple[Seam, Seam, Seam]], reference: torch.Tensor, with_kl: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Explanation loss and behaviour KL of items, scalars of float32, from one packed pass.

    The first is the mean over items of the mean cross-entropy of the label's tokens; the request carries no loss. The
    second is the mean over items, and over x and its counterfactual, of KL(B(M0) || B(M_t)) in nats; 0 without `with_kl`.
    """
    if not loaded.packs:
        kl = behaviour_kl(loaded, [s[:2] for s in seams], reference) if with_kl else torch.zeros(())
        return explanation_loss(loaded, [s[2] for s in seams]), kl
    scores = continuation_logprobs(loaded, seams if with_kl else [s[2:] for s in seams])
    lengths = torch.tensor([len(s[2].tails[0]) for s in seams], device=loaded.device)
    return -(scores[:, -1, 0] / lengths).mean(), _kl(reference, scores[:, :2]) if with_kl else torch.zeros(())


def explanation_loss(loaded: Loaded, seams: Sequence[Seam]) -> torch.Tensor:
    """The explanation loss by itself, from padded rows: the reference for `losses`."""
    rows = [s.prefix + s.tails[0] for s in seams]
    ids, mask = (t.to(loaded.device) for t in pad(rows, loaded.tokenizer.pad_token_id, "right"))
    first = min(len(s.prefix) for s in seams)
    with loaded.precision():
        logits = loaded.model(input_ids=ids, attention_mask=mask, logits_to_keep=ids.shape[1] - first + 1, use_cache=False).logits
    logits, targets = logits[:, :-1].float(), ids[:, first:]
    # not torch's cross_entropy: over any but the last axis it sums 50,000 words less exactly than a loss to 1e-4 needs
    each = logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]
    places = torch.arange(first, ids.shape[1], device=ids.device)
    starts, ends = (torch.tensor(n, device=ids.device)[:, None] for n in ([len(s.prefix) for s in seams], [len(r) for r in rows]))
    label = (places >= starts) & (places < ends)
    return ((each * label).sum(1) / label.sum(1)).mean()


def behaviour_kl(loaded: Loaded, seams: Sequence[tuple[Seam, Seam]], reference: torch.Tensor) -> torch.Tensor:
    """The behaviour KL by itself, from padded rows: the reference for `losses`."""
    scores = plain_logprobs(loaded, [s for pair in seams for s in pair])
    return _kl(reference, scores.view(len(seams), 2, -1))


def _kl(reference: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Mean over all but the last axis of KL(reference || scores renormalised); -inf marks choices that an item lacks."""
    scores = scores[..., : reference.shape[-1]]
    real = torch.isfinite(scores)
    now = scores.log_softmax(-1).masked_fill(~real, 0.0)
    then = reference[..., : scores.shape[-1]].masked_fill(~real, 0.0)
    return (then.exp() * (then - now)).masked_fill(~real, 0.0).sum(-1).mean()


def item_order(n: int, size: int, seed: int, step: int) -> np.ndarray:
    """Indices of the items of `step` (from 1): epochs of n items, each in an order of its own; int64 [size]."""
    places = np.arange((step - 1) * size, step * size)
    orders = {e: np.random.default_rng([seed, 3, int(e)]).permutation(n) for e in np.unique(places // n)}
    return np.array([orders[p // n][p % n] for p in places])


def save_checkpoint(folder: Path, model: PeftModel, optimizer: torch.optim.Optimizer, step: int, history: list[dict]) -> None:
    """Replace the checkpoint: adapter and optimiser state as safetensors, the rest as JSON inside the same file."""
    tensors = {f"weight.{n}": p.detach().contiguous() for n, p in trainable(model)}
    for (name, _), state in zip(trainable(model), optimizer.state_dict()["state"].values(), strict=False):
        tensors |= {f"{k}.{name}": v.contiguous() for k, v in state.items()}
    with store.replacing(folder / "checkpoint.safetensors") as part:
        save_file(tensors, part, metadata={"step": str(step), "history": json.dumps(history)})


def load_checkpoint(folder: Path, model: PeftModel, optimizer: torch.optim.Optimizer) -> tuple[int, list[dict]]:
    """Restore the checkpoint into model and optimiser, if there is one; returns its step (0 without) and history."""
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        return 0, []
    from safetensors import safe_open

    with safe_open(path, framework="pt") as handle:
        meta = handle.metadata()
    tensors = load_file(path, device="cpu")
    state = optimizer.state_dict()
    with torch.no_grad():
        for i, (name, parameter) in enumerate(trainable(model)):
            parameter.copy_(tensors[f"weight.{name}"])
            state["state"][i] = {k: tensors[f"{k}.{name}"] for k in ("step", "exp_avg", "exp_avg_sq") if f"{k}.{name}" in tensors}
    optimizer.load_state_dict(state)
    return int(meta["step"]), json.loads(meta["history"])


def trainable(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """The parameters that training moves, by name, in a fixed order."""
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


def train(
    spec: Spec, loaded: Loaded, data: TrainingSet, folder: Path, evaluate: Callable[[int], None]
) -> list[dict[str, float]]:
    """Train the adapter of `loaded` for `spec.steps` steps, calling `evaluate(step)` at the spec's evaluation steps.

    Resumes from the checkpoint in `folder`; `evaluate` is called again for a step whose result was not kept, and must
    draw nothing at random. Returns one row a step: step, loss, cross_entropy, kl, learning_rate, grad_norm. Raises
    Diverged where the loss is not finite.
    """
    model = loaded.model
    parameters = [p for _, p in trainable(model)]
    optimizer = torch.optim.AdamW(parameters, lr=spec.learning_rate, weight_decay=0.0)
    step, history = load_checkpoint(folder, model, optimizer)
    optimizer.param_groups[0]["initial_lr"] = spec.learning_rate
    schedule = get_cosine_schedule_with_warmup(optimizer, round(spec.warmup * spec.steps), spec.steps, last_epoch=step - 1)
    due = set(spec.evaluation_steps)
    sizes = [size(s, spec.kl_weight > 0) for s in data.seams]
    tokens = tokens_in_memory(spec, loaded, data, sizes)
    saved = time.monotonic()
    bar = progress(spec.steps, "explanation training", step)
    if step in due:
        evaluate(step)
    while step < spec.steps:
        step += 1
        chosen = item_order(len(data.seams), spec.batch_size, spec.seed, step)
        row = {"step": step} | add_gradients(spec, loaded, data, chosen, passes([sizes[i] for i in chosen], tokens))
        row["learning_rate"] = optimizer.param_groups[0]["lr"]
        row["grad_norm"] = float(torch.nn.utils.clip_grad_norm_(parameters, spec.max_grad_norm))
        history.append(row)
        if not math.isfinite(row["loss"]) or not math.isfinite(row["grad_norm"]):
            raise Diverged(f"loss {row['loss']} at step {step} of {spec.steps}: lower learning_rate={spec.learning_rate}", history)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        bar.update()
        if step in due:
            evaluate(step)
        if step in due or time.monotonic() - saved > CHECKPOINT_SECONDS:
            save_checkpoint(folder, model, optimizer, step, history)
            saved = time.monotonic()
    bar.close()
    return history


def add_gradients(spec: Spec, loaded: Loaded, data: TrainingSet, chosen: np.ndarray, parts: Sequence[slice]) -> dict[str, float]:
    """Add up the gradients of one step, each part of its items in a pass of its own; returns its losses."""
    totals = {"cross_entropy": 0.0, "kl": 0.0}
    for part in parts:
        where = chosen[part]
        share = len(where) / len(chosen)
        cross_entropy, kl = losses(loaded, [data.seams[i] for i in where], data.reference[where], spec.kl_weight > 0)
        ((cross_entropy + spec.kl_weight * kl) * share).backward()
        totals["cross_entropy"] += cross_entropy.item() * share
        totals["kl"] += kl.item() * share
    return {"loss": totals["cross_entropy"] + spec.kl_weight * totals["kl"]} | totals


def size(seams: tuple[Seam, Seam, Seam], with_kl: bool) -> int:
    """Tokens of an item's prefix tree."""
    return len(prefix_tree([ids for s in (seams if with_kl else seams[2:]) for ids in fed(s)]))


def passes(sizes: Sequence[int], most: int) -> list[slice]:
    """Slices of a step's items, in order, as few as hold at most `most` tokens each (one item at the least), and even."""
    share = sum(sizes) / max(1, math.ceil(sum(sizes) / most))
    parts, start, held = [], 0, 0
    for i, n in enumerate(sizes):
        if i > start and (held + n > most or held >= share):
            parts.append(slice(start, i))
            start, held = i, 0
        held += n
    return [*parts, slice(start, len(sizes))]


def tokens_in_memory(spec: Spec, loaded: Loaded, data: TrainingSet, sizes: Sequence[int]) -> int:
    """How many packed tokens one training pass may hold under the spec's memory ceiling. sizes: the items', by `size`.

    What a pass keeps for its gradients is measured, on copies of the shortest item. If the longest would not fit, every
    layer keeps its input alone and is computed again in the backward pass (activation checkpointing). Raises
    MemoryCeiling, before any training, where that is not enough either.
    """
    with_kl = spec.kl_weight > 0
    shortest, tokens = int(np.argmin(sizes)), max(sizes)

    def each() -> float:
        one, three = (
            kept_bytes(lambda k=k: losses(loaded, [data.seams[shortest]] * k, data.reference[[shortest] * k], with_kl)) for k in (1, 3)
        )  # the weights among what is kept do not grow with the items
        return (three - one) / 2 / sizes[shortest]

    full = each()
    room = spec.memory_gb * 1e9 - PROCESS_BYTES - weight_bytes(loaded.model)
    if room < full * SLACK * tokens:
        layers = loaded.model.config.num_hidden_layers
        checkpoint_layers(loaded.model)
        full = each() + full / layers
        if room < full * SLACK * tokens:
            raise MemoryCeiling(f"memory_gb={spec.memory_gb:g} does not hold the model and one training item of {tokens} tokens: raise it")
    return int(room / (full * SLACK))


