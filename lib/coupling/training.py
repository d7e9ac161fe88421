"""Explanation training: LoRA on fixed labels, with the behaviours held near M0's by a KL term.

The loss of a step is, over its items,

    mean cross-entropy of the label's tokens (the completion alone)
    + kl_weight * mean of KL(B(M0) || B(M_t)) over x and x without the cue,

B being the distribution over an item's choices. Labels and B(M0) are fixed before the first step. Whatever is drawn
is a function of the seed and the step, so a run that is resumed ends in the numbers of one that was never stopped.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import get_cosine_schedule_with_warmup

from coupling import store
from coupling.behaviours import Behaviours, behaviour_seams, continuation_logprobs
from coupling.explanations import explanation_ids
from coupling.models import Loaded, Seam, pad
from coupling.progress import progress
from coupling.spec import Spec
from coupling.tasks import Item

CHECKPOINT_SECONDS = 60.0
IGNORED = -100  # label of a token that is not trained


class Diverged(RuntimeError):
    """Training reached a loss that is not finite; the message names the step. history: the rows up to it."""

    def __init__(self, message: str, history: list[dict[str, float]]):
        super().__init__(message)
        self.history = history


class MemoryCeiling(RuntimeError):
    """A run needed more memory than its spec allows."""


@dataclass(frozen=True)
class TrainingSet:
    """Everything that training reads: token ids, the fixed labels within them, and M0's fixed distributions.

    explanations: (request ids, label ids) of each item. seams: its behaviour seams on x and without the cue.
    reference: M0's renormalised log-probabilities, float32 [2, items, choices], x first.
    """

    explanations: tuple[tuple[list[int], list[int]], ...]
    seams: tuple[tuple[Seam, Seam], ...]
    reference: torch.Tensor


def training_set(m0: Loaded, items: Sequence[Item], b0: Behaviours, labels: Sequence[str]) -> TrainingSet:
    """The training set of items with these M0 behaviours and label texts."""
    return TrainingSet(
        tuple(explanation_ids(m0, i, t) for i, t in zip(items, labels, strict=True)),
        tuple(behaviour_seams(m0, i) for i in items),
        torch.from_numpy(np.stack([b0.distribution("x"), b0.distribution("cf")])).to(m0.device),
    )


def add_adapter(m0: Loaded, spec: Spec) -> Loaded:
    """M0 with a fresh float32 LoRA adapter on all linear layers but the output head; it changes nothing yet.

    The effective scale is `lora_alpha` itself, whatever the rank: peft divides by rank, or by its root with rslora.
    """
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", r=spec.rank, lora_dropout=0.0, use_rslora=spec.rslora,
        lora_alpha=spec.lora_alpha * (math.sqrt(spec.rank) if spec.rslora else spec.rank),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        model = get_peft_model(m0.model, config)
    return Loaded(model.eval(), m0.tokenizer, m0.dtype)


def explanation_loss(loaded: Loaded, rows: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Mean over items of the mean cross-entropy of the label's tokens; the request carries no loss. Scalar float32."""
    ids, mask = (t.to(loaded.device) for t in pad([a + b for a, b in rows], loaded.tokenizer.pad_token_id, "right"))
    targets = torch.full_like(ids, IGNORED)
    for i, (request, label) in enumerate(rows):
        targets[i, len(request) : len(request) + len(label)] = torch.tensor(label, device=ids.device)
    first = min(len(request) for request, _ in rows)
    with loaded.precision():
        logits = loaded.model(input_ids=ids, attention_mask=mask, logits_to_keep=ids.shape[1] - first + 1, use_cache=False).logits
    targets = targets[:, first:]
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    return (losses.sum(1) / (targets != IGNORED).sum(1)).mean()


def behaviour_kl(loaded: Loaded, seams: Sequence[tuple[Seam, Seam]], reference: torch.Tensor) -> torch.Tensor:
    """Mean over items, and over x and its counterfactual, of KL(B(M0) || B(M_t)) in nats. Scalar float32.

    reference: float32 [2, items, choices], renormalised log-probabilities of M0 (-inf beyond an item's choices).
    """
    scores = continuation_logprobs(loaded, [pair[k] for k in (0, 1) for pair in seams])
    real = torch.isfinite(scores)
    now = scores.log_softmax(-1).masked_fill(~real, 0.0)
    then = reference[..., : scores.shape[1]].reshape(scores.shape).masked_fill(~real, 0.0)
    terms = then.exp() * (then - now)
    return terms.masked_fill(~real, 0.0).sum(-1).mean()


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
    saved = time.monotonic()
    bar = progress(spec.steps, "explanation training", step)
    if step in due:
        evaluate(step)
    while step < spec.steps:
        step += 1
        chosen = item_order(len(data.explanations), spec.batch_size, spec.seed, step)
        row = {"step": step} | _gradient(spec, loaded, data, chosen)
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


def _gradient(spec: Spec, loaded: Loaded, data: TrainingSet, chosen: np.ndarray) -> dict[str, float]:
    """Add up the gradients of one step, micro-batch by micro-batch; returns its losses."""
    totals = {"cross_entropy": 0.0, "kl": 0.0}
    for part in chosen.reshape(-1, spec.micro_batch):
        share = len(part) / len(chosen)
        loss = explanation_loss(loaded, [data.explanations[i] for i in part])
        (loss * share).backward()  # one graph at a time: the two terms never share the memory of their activations
        totals["cross_entropy"] += loss.item() * share
        if spec.kl_weight:
            kl = behaviour_kl(loaded, [data.seams[i] for i in part], data.reference[:, part])
            (kl * spec.kl_weight * share).backward()
            totals["kl"] += kl.item() * share
    return {"loss": totals["cross_entropy"] + spec.kl_weight * totals["kl"]} | totals


@contextmanager
def memory_ceiling(gigabytes: float) -> Iterator[None]:
    """Within the block, an allocation beyond the ceiling raises MemoryCeiling instead of exhausting the machine.

    On CPUs the kernel refuses it (RLIMIT_DATA, Linux), on GPUs torch's allocator does; elsewhere there is no ceiling.
    What the process has reserved and never touched (thread stacks, arenas: some 3 GB) does not count.
    """
    limit = int(gigabytes * 1e9)
    message = f"the run needs more than memory_gb={gigabytes:g}: lower micro_batch or eval_batch, or raise memory_gb"
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
    elif sys.platform == "linux":
        before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit + _untouched(), before[1]))
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise MemoryCeiling(message) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise MemoryCeiling(message) from error
        raise
    finally:
        if not torch.cuda.is_available() and sys.platform == "linux":
            resource.setrlimit(resource.RLIMIT_DATA, before)


def _untouched() -> int:
    """Bytes that this process has reserved for data and never touched (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return max(0, int(status["VmData"].split()[0]) - int(status["RssAnon"].split()[0])) * 1024


def peak_memory_gb() -> float:
    """The most memory this process has held so far: on the GPU if there is one, else resident; in 10^9 bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
