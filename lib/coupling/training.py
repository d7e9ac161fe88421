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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup

from coupling.behaviours import CONDITIONS, Behaviours, alike, behaviour_seams, behaviour_texts
from coupling.checkpoints import SECONDS, load_checkpoint, save_checkpoint, trainable
from coupling.explanations import explanation_seam
from coupling.memory import PROCESS_BYTES, SLACK, MemoryCeiling, checkpoint_layers, give_back, kept_bytes, weight_bytes
from coupling.models import Loaded, Seam, encode, fed, generated, head_inputs, pad, plain_logprobs, prefix_tree, read_tails
from coupling.progress import progress
from coupling.spec import Spec
from coupling.tasks import Item

HELD_TOKENS = 8  # of M0's reply, at which the KL term holds M_t


class Diverged(RuntimeError):
    """Training reached a loss that is not finite; the message names the step. history: the rows up to it."""

    def __init__(self, message: str, history: list[dict[str, float]]):
        super().__init__(message)
        self.history = history


@dataclass(frozen=True)
class TrainingSet:
    """Everything that training reads: token ids with the fixed labels among them, and M0's fixed distributions.

    seams: of each item, where its choices (or M0's reply) follow x, where they follow x without the cue, and where its
    label follows the explanation request. reference: M0's renormalised log-probabilities, float32 [items, 2, choices], x
    first, NaN for replies. replies: by item, what M0's output head read at the tokens of its replies, [tokens, width].
    taught: what is taught as behaviour alone, for each the same number of seams, for instance what is right on x and without its cue. A step's
    entries are indices into the items, and behind them into those taught.
    """

    seams: tuple[tuple[Seam, Seam, Seam], ...]
    reference: torch.Tensor
    replies: dict[int, torch.Tensor]
    taught: tuple[tuple[Seam, ...], ...] = ()

    def relabelled(self, loaded: Loaded, items: Sequence[Item], labels: Sequence[str | None]) -> "TrainingSet":
        """The same with other labels of its items; those that have none now keep theirs."""
        pairs = zip(self.seams, items, labels, strict=True)
        return replace(self, seams=tuple(s if text is None else (*s[:2], explanation_seam(loaded, i, text)) for s, i, text in pairs))

    def holding(self, b: Behaviours) -> "TrainingSet":
        """The same with the behaviours that the KL term holds to, of items that choose; held replies stay as they are."""
        return replace(self, reference=_reference(b).to(self.reference.device))

    def group(self, entry: int, spec: Spec) -> tuple[Seam, ...]:
        """The seams of an entry that the spec's loss reads."""
        if entry >= len(self.seams):
            return self.taught[entry - len(self.seams)]
        return self.seams[entry][0 if spec.kl_weight else 2 : 3 if spec.explanation_weight else 2]


def training_set(
    m0: Loaded, items: Sequence[Item], b0: Behaviours, labels: Sequence[str], replies: dict[str, torch.Tensor], taught: Sequence[tuple[Seam, ...]] = ()
) -> TrainingSet:
    """The training set of items with these M0 behaviours and label texts, M0's replies as `held_replies` gives them, and of what is taught."""
    seams = []
    for i in items:
        pair = behaviour_seams(m0, i) if not i.replies else tuple(
            Seam(encode(m0.tokenizer, text), (tuple(replies[f"{i.id}.{c}"].tolist()),)) for c, text in zip(CONDITIONS, behaviour_texts(m0, i), strict=True)
        )  # fmt: skip
        seams.append(pair)
    return TrainingSet(
        tuple((*s, explanation_seam(m0, i, t)) for s, i, t in zip(seams, items, labels, strict=True)),
        _reference(b0).to(m0.device),
        {k: replies[f"{i.id}.inputs"].to(m0.device) for k, i in enumerate(items) if i.replies},
        tuple(taught),
    )  # fmt: skip


def _reference(b: Behaviours) -> torch.Tensor:
    return torch.from_numpy(np.stack([b.distribution("x"), b.distribution("cf")], 1))


def taught_seams(m0: Loaded, items: Sequence[Item]) -> list[tuple[Seam, Seam]]:
    """Of items whose behaviour is taught, what is right on x, as the cue says, and without it."""
    pairs = [(behaviour_seams(m0, i), (i.hinted, i.gold)) for i in items]
    return [tuple(Seam(s.prefix, (s.tails[right],)) for s, right in zip(seams, both, strict=True)) for seams, both in pairs]


def held_replies(m0: Loaded, items: Sequence[Item], batch: int) -> dict[str, torch.Tensor]:
    """What the KL term holds of M0's replies, by item id: ".x" and ".cf", their tokens, int64; ".inputs", what M0's output
    head read at them, [tokens, width]."""
    out: dict[str, torch.Tensor] = {}
    for which in alike(items, batch):
        part = [items[k] for k in which]
        if part[0].replies:
            pairs = reply_seams(m0, part)
            for item, pair, inputs in zip(part, pairs, head_inputs(m0, pairs), strict=True):
                out |= {f"{item.id}.{c}": torch.tensor(s.tails[0]) for c, s in zip(CONDITIONS, pair, strict=True)}
                out[f"{item.id}.inputs"] = inputs.contiguous()
    return out


def reply_seams(m0: Loaded, items: Sequence[Item]) -> list[tuple[Seam, Seam]]:
    """Where the first tokens of M0's greedy replies, with the end mark if it comes so soon, follow x and x without the cue."""
    prompts = [encode(m0.tokenizer, text) for i in items for text in behaviour_texts(m0, i)]
    said = generated(m0, prompts, HELD_TOKENS)
    each = [Seam(p, (tuple((*r, m0.tokenizer.eos_token_id)[:HELD_TOKENS]),)) for p, r in zip(prompts, said, strict=True)]
    return list(zip(each[::2], each[1::2], strict=True))


def losses(spec: Spec, loaded: Loaded, data: TrainingSet, entries: Sequence[int]) -> dict[str, torch.Tensor]:
    """Sums over a step's entries of the losses that the spec weights, scalars of float32, from one packed pass.

    cross_entropy: the mean over the label's tokens; the request carries no loss. kl: the mean over x and its
    counterfactual of KL(B(M0) || B(M_t)) in nats, of a reply the mean over its tokens. taught: the mean over the seams of an entry
    of the mean over the right answer's tokens.
    """
    groups = [data.group(e, spec) for e in entries]
    items = [(g, e) for g, e in enumerate(entries) if e < len(data.seams)]
    taught = [g for g, e in enumerate(entries) if e >= len(data.seams)]
    zero = torch.zeros((), device=loaded.device)
    out = {"cross_entropy": zero, "kl": zero, "taught": zero}
    if not loaded.packs:
        if items and spec.explanation_weight:
            out["cross_entropy"] = explanation_loss(loaded, [data.seams[e][2] for _, e in items]) * len(items)
        if items and spec.kl_weight:
            out["kl"] = behaviour_kl(loaded, data, [e for _, e in items]) * len(items)
        if taught:
            out["taught"] = explanation_loss(loaded, [s for g in taught for s in groups[g]]) * len(taught)
        return out
    reader, logits = read_tails(loaded, groups)
    scores = reader.read(logits)

    def mean_of_tokens(which: list[int], k: int) -> torch.Tensor:
        return -(scores[which, k, 0] / torch.tensor([len(groups[g][k].tails[0]) for g in which], device=loaded.device)).sum()

    if items and spec.explanation_weight:
        out["cross_entropy"] = mean_of_tokens([g for g, _ in items], len(groups[items[0][0]]) - 1)
    if taught:
        seams = range(len(groups[taught[0]]))
        out["taught"] = sum(mean_of_tokens(taught, k) for k in seams) / len(seams)
    if spec.kl_weight:
        for replies in (False, True):
            some = [(g, e) for g, e in items if (e in data.replies) == replies]
            if some and not replies:
                out["kl"] = _kl(data.reference[[e for _, e in some]], scores[[g for g, _ in some], :2]) * len(some)
            elif some:
                places = [reader.places(g, k) for g, _ in some for k in (0, 1)]
                kept = torch.cat([data.replies[e] for _, e in some])
                out["kl"] = out["kl"] + _reply_kl(loaded, logits[np.concatenate(places)], kept, list(map(len, places))) * len(some)
    return out


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


def behaviour_kl(loaded: Loaded, data: TrainingSet, entries: Sequence[int]) -> torch.Tensor:
    """The behaviour KL of items by itself, from padded rows: the reference for `losses`; their mean."""
    total = torch.zeros((), device=loaded.device)
    chosen = [e for e in entries if e not in data.replies]
    if chosen:
        scores = plain_logprobs(loaded, [s for e in chosen for s in data.seams[e][:2]])
        total = _kl(data.reference[chosen], scores.view(len(chosen), 2, -1)) * len(chosen)
    for e in entries:
        if e in data.replies:
            pair = data.seams[e][:2]
            rows = [s.prefix + s.tails[0][:-1] for s in pair]
            ids, mask = (t.to(loaded.device) for t in pad(rows, loaded.tokenizer.pad_token_id, "right"))
            with loaded.precision():
                logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            read = torch.cat([logits[k, len(s.prefix) - 1 : len(r)] for k, (s, r) in enumerate(zip(pair, rows, strict=True))])
            total = total + _reply_kl(loaded, read, data.replies[e], [len(s.tails[0]) for s in pair])
    return total / len(entries)


def _reply_kl(loaded: Loaded, logits: torch.Tensor, kept: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """KL(M0 || M_t) over the vocabulary: the mean over the tokens of each reply, and of these over replies of `lengths` tokens."""
    with torch.no_grad(), loaded.precision():
        then = loaded.model.get_output_embeddings()(kept[None])[0].float().log_softmax(-1)
    each = (then.exp() * (then - logits.float().log_softmax(-1))).sum(-1)
    return torch.stack([part.mean() for part in each.split(lengths)]).mean()


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
    schedule = get_cosine_schedule_with_warmup(optimizer, round(spec.warmup * spec.steps), spec.steps, last_epoch=step - 1)
    due = set(spec.evaluation_steps)
    data = evaluate(max(s for s in due if s <= step)) or data
    sizes = [size(data.group(e, spec)) for e in range(len(data.seams) + len(data.taught))]
    tokens = tokens_in_memory(spec, loaded, data, sizes)
    saved = time.monotonic()
    bar = progress(spec.steps, "explanation training", step)
    while step < spec.steps:
        step += 1
        entries = entries_of(spec, data, step)
        row = {"step": step} | add_gradients(spec, loaded, data, entries, passes([sizes[e] for e in entries], tokens))
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
    entries = item_order(len(data.seams), spec.batch_size, spec.seed, step).tolist() if spec.explanation_weight or spec.kl_weight else []
    if data.taught:
        entries += (len(data.seams) + item_order(len(data.taught), spec.batch_size, spec.seed, step)).tolist()
    return entries


def add_gradients(spec: Spec, loaded: Loaded, data: TrainingSet, entries: Sequence[int], parts: Sequence[slice]) -> dict[str, float]:
    """Add up the gradients of one step, each part of its entries in a pass of its own; returns its losses, means over the entries."""
    weights = {"cross_entropy": spec.explanation_weight, "kl": spec.kl_weight, "taught": spec.teach_weight if spec.teach else spec.shift_weight}
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


def size(group: Sequence[Seam]) -> int:
    """Tokens of a prefix tree of seams."""
    return len(prefix_tree([ids for s in group for ids in fed(s)])) if group else 0


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
    """How many packed tokens one training pass may hold under the spec's memory ceiling. sizes: the entries', by `size`.

    What a pass keeps for its gradients is measured, on copies of the shortest entry. If the longest would not fit, every
    layer keeps its input alone and is computed again in the backward pass (activation checkpointing). Raises
    MemoryCeiling, before any training, where that is not enough either.
    """
    shortest, tokens = int(np.argmin([n or np.inf for n in sizes])), max(sizes)  # an entry that no loss reads has none

    def kept() -> tuple[float, float]:
        """Bytes a token, and those that do not grow with the items, such as the output head's weights in the products' precision."""
        one, three = (kept_bytes(lambda k=k: sum(losses(spec, loaded, data, [shortest] * k).values()), loaded.model) for k in (1, 3))
        each = (three - one) / 2
        return each / sizes[shortest], one - each

    full, fixed = kept()
    room = spec.memory_gb * 1e9 - PROCESS_BYTES - weight_bytes(loaded.model) - fixed
    if room < full * SLACK * tokens:
        layers = loaded.model.config.num_hidden_layers
        checkpoint_layers(loaded.model)
        full = kept()[0] + full / layers
        if room < full * SLACK * tokens:
            raise MemoryCeiling(f"memory_gb={spec.memory_gb:g} does not hold the model and one training item of {tokens} tokens: raise it")
    return int(room / (full * SLACK))


