"""Explanation training: LoRA on fixed labels, with the behaviours held near M0's by a KL term.

The loss of a step is, over its items,

    explanation_weight * mean cross-entropy of the label's tokens (the completion alone)
    + kl_weight * mean of KL(B(M0) || B(M_t)) over x and x without the cue
    + teach_weight or shift_weight * mean cross-entropy of a taught behaviour, if there is one,

B being the distribution over an item's choices, or, where behaviour is a reply, over the whole vocabulary at the first
tokens of M0's own reply. Labels and B(M0) are fixed before the first step. Whatever is drawn
is a function of the seed and the step, so a run that is resumed ends in the numbers of one that was never stopped.
"""

from collections.abc import Sequence

import numpy as np
import torch

from coupling.models import Loaded, Seam, pad, plain_logprobs, read_tails
from coupling.spec import Spec
from coupling.training.data import TrainingSet


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
        return -(
            scores[which, k, 0]
            / torch.tensor([len(groups[g][k].tails[0]) for g in which], device=loaded.device)
        ).sum()

    if items and spec.explanation_weight:
        out["cross_entropy"] = mean_of_tokens([g for g, _ in items], len(groups[items[0][0]]) - 1)
    if taught:
        seams = range(len(groups[taught[0]]))
        out["taught"] = sum(mean_of_tokens(taught, k) for k in seams) / len(seams)
    if spec.kl_weight:
        for replies in (False, True):
            some = [(g, e) for g, e in items if (e in data.replies) == replies]
            if some and not replies:
                out["kl"] = _kl(data.reference[[e for _, e in some]], scores[[g for g, _ in some], :2]) * len(
                    some
                )
            elif some:
                places = [reader.places(g, k) for g, _ in some for k in (0, 1)]
                kept = torch.cat([data.replies[e] for _, e in some])
                out["kl"] = out["kl"] + _reply_kl(
                    loaded, logits[np.concatenate(places)], kept, list(map(len, places))
                ) * len(some)
    return out


def explanation_loss(loaded: Loaded, seams: Sequence[Seam]) -> torch.Tensor:
    """The explanation loss by itself, from padded rows: the reference for `losses`."""
    rows = [s.prefix + s.tails[0] for s in seams]
    ids, mask = (t.to(loaded.device) for t in pad(rows, loaded.tokenizer.pad_token_id, "right"))
    first = min(len(s.prefix) for s in seams)
    with loaded.precision():
        logits = loaded.model(
            input_ids=ids, attention_mask=mask, logits_to_keep=ids.shape[1] - first + 1, use_cache=False
        ).logits
    logits, targets = logits[:, :-1].float(), ids[:, first:]
    # not torch's cross_entropy: over any but the last axis it sums 50,000 words less exactly than a loss to 1e-4 needs
    each = logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]
    places = torch.arange(first, ids.shape[1], device=ids.device)
    starts, ends = (
        torch.tensor(n, device=ids.device)[:, None]
        for n in ([len(s.prefix) for s in seams], [len(r) for r in rows])
    )
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
            read = torch.cat(
                [
                    logits[k, len(s.prefix) - 1 : len(r)]
                    for k, (s, r) in enumerate(zip(pair, rows, strict=True))
                ]
            )
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
