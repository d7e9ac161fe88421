"""The loss of explanation training: its formula, and its value and gradients for the entries of one step.

M_t is the model that is trained, M0 the base model, S the label source. One step has the loss

    loss  =  w_E · CE  +  w_K · KL  +  w_T · T

    CE   the explanation loss: for each item, the mean over the tokens of its fixed label L(S), end mark
         included, of -log M_t(token | explanation request, tokens before it); then the mean over items.
         The tokens of the request carry no loss.
    KL   the behaviour loss: for each item, the mean over x and x without its cue of KL(B(M0) ‖ B(M_t)) in
         nats; then the mean over items, those included that have no label and whose behaviour is held.
    T    the loss of a taught behaviour, where there is one: for each taught entry, the mean over its prompts
         of the mean cross-entropy over the right answer's tokens; then the mean over entries.
    w_E  `explanation_weight` of the spec
    w_K  `kl_weight` of the spec
    w_T  `teach_weight` of the spec for a new behaviour, `shift_weight` for a shift

B(M) is the distribution over the item's choices, renormalised. For an item whose behaviour is a reply, B(M)
is the distribution over the whole vocabulary at each of the first tokens of M0's own greedy reply, and KL is
the mean over these tokens. In a phase after a shift, the shifted model stands in M0's place in KL.

Symbols: docs/method.md, "Symbols". CE and KL together are the training of the paper under study ("Labels and
explanations"); T teaches shifts ("Shifts") and new behaviours. The paper's weight, direction and positions of
the KL term are unknown to us. What stands here (weight 1 unless the spec says otherwise, M0 first, these
positions) is our own declared choice.

`losses` is what training calls. `explanation_loss` and `behaviour_kl` compute CE and KL in the plain way,
from padded rows. Models that cannot take prefix trees use them, and tests hold `losses` against them.
"""

from collections.abc import Sequence

import numpy as np
import torch

from coupling.models import Loaded, Seam, TailReader, pad, plain_logprobs, read_found
from coupling.spec import Spec
from coupling.training.data import TrainingSet


def term_weights(spec: Spec) -> dict[str, float]:
    """Return the weights w_E, w_K and w_T of the loss, under the names that `losses` gives its terms."""
    return {
        "cross_entropy": spec.explanation_weight,
        "kl": spec.kl_weight,
        "taught": spec.teach_weight if spec.teach else spec.shift_weight,
    }


def losses(spec: Spec, loaded: Loaded, data: TrainingSet, entries: Sequence[int]) -> dict[str, torch.Tensor]:
    """Compute the terms of the loss, each as a sum over some entries of a step, from one packed forward pass.

    A term is a sum here, not yet a mean, so that a step can be split into several passes whose sums add up.

    Args:
        spec: Names the terms that have a weight; a term without one is not computed.
        loaded: The model that is trained, M_t.
        data: The training set.
        entries: Indices of entries (see `TrainingSet`).

    Returns:
        Float32 scalars with gradients: "cross_entropy" (CE), "kl" (KL) and "taught" (T). Each is 0 where the
        spec or the entries have nothing for it.
    """
    items = [(g, e) for g, e in enumerate(entries) if e < len(data.seams)]
    behaving = [(g, e) for g, e in enumerate(entries) if e < data.behaving]
    taught = [g for g, e in enumerate(entries) if e >= data.behaving]
    groups = [data.group(e, spec) for e in entries]
    zero = torch.zeros((), device=loaded.device)
    out = {"cross_entropy": zero, "kl": zero, "taught": zero}
    if not loaded.packs:
        if items and spec.explanation_weight:
            out["cross_entropy"] = explanation_loss(loaded, [data.seams[e][2] for _, e in items]) * len(items)
        if behaving and spec.kl_weight:
            out["kl"] = behaviour_kl(loaded, data, [e for _, e in behaving]) * len(behaving)
        if taught:
            out["taught"] = explanation_loss(loaded, [s for g in taught for s in groups[g]]) * len(taught)
        return out
    reader, logits = read_found(loaded, [data.found(e, spec) for e in entries])
    scores = reader.read(logits)

    def mean_of_tokens(which: list[int], seam: int) -> torch.Tensor:
        """Sum over some groups of the mean cross-entropy of the first tail's tokens at one of their seams."""
        lengths = [len(groups[g][seam].tails[0]) for g in which]
        return -(scores[which, seam, 0] / torch.tensor(lengths, device=loaded.device)).sum()

    if items and spec.explanation_weight:
        out["cross_entropy"] = mean_of_tokens([g for g, _ in items], len(groups[items[0][0]]) - 1)
    if taught:
        seams = range(len(groups[taught[0]]))
        out["taught"] = sum(mean_of_tokens(taught, k) for k in seams) / len(seams)
    if spec.kl_weight:
        out["kl"] = _packed_kl(loaded, data, behaving, reader, logits, scores)
    return out


def _packed_kl(
    loaded: Loaded,
    data: TrainingSet,
    items: Sequence[tuple[int, int]],
    reader: TailReader,
    logits: torch.Tensor,
    scores: torch.Tensor,
) -> torch.Tensor:
    """Sum KL over the items of a packed pass; float32 scalar.

    Args:
        loaded: The model that is trained.
        data: The training set, with M0's distributions.
        items: For each training or held item its group in the pass and its entry.
        reader: Knows where in `logits` the tokens of each seam are predicted.
        logits: The logits of the pass, [picked, vocabulary].
        scores: The log-probabilities that `reader` made of them, float32 [groups, seams, tails].
    """
    total = torch.zeros((), device=loaded.device)
    choosing = [(g, e) for g, e in items if e not in data.replies]
    if choosing:
        then, now = data.reference[[e for _, e in choosing]], scores[[g for g, _ in choosing], :2]
        total = _kl(then, now) * len(choosing)
    replying = [(g, e) for g, e in items if e in data.replies]
    if replying:
        places = [reader.places(g, k) for g, _ in replying for k in (0, 1)]
        kept = torch.cat([data.replies[e] for _, e in replying])
        mean = _reply_kl(loaded, logits[np.concatenate(places)], kept, list(map(len, places)))
        total = total + mean * len(replying)
    return total


def explanation_loss(loaded: Loaded, seams: Sequence[Seam]) -> torch.Tensor:
    """Compute CE from padded rows, as the reference for `losses`.

    Args:
        loaded: The model that is trained.
        seams: For each text to learn, its prompt and, as the first tail, the tokens to learn.

    Returns:
        The mean over seams of the mean cross-entropy over the tokens of the first tail; float32 scalar.
    """
    rows = [s.prefix + s.tails[0] for s in seams]
    ids, mask = (t.to(loaded.device) for t in pad(rows, loaded.tokenizer.pad_token_id, "right"))
    first = min(len(s.prefix) for s in seams)
    with loaded.precision():
        logits = loaded.model(
            input_ids=ids, attention_mask=mask, logits_to_keep=ids.shape[1] - first + 1, use_cache=False
        ).logits
    logits, targets = logits[:, :-1].float(), ids[:, first:]
    # Not torch's cross_entropy: over an axis other than the last it sums a vocabulary of 50,000 words less
    # exactly than a loss that is compared to within 1e-4 needs.
    each = logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]
    places = torch.arange(first, ids.shape[1], device=ids.device)
    starts, ends = (
        torch.tensor(n, device=ids.device)[:, None]
        for n in ([len(s.prefix) for s in seams], [len(r) for r in rows])
    )
    label = (places >= starts) & (places < ends)
    return ((each * label).sum(1) / label.sum(1)).mean()


def behaviour_kl(loaded: Loaded, data: TrainingSet, entries: Sequence[int]) -> torch.Tensor:
    """Compute KL from padded rows, as the reference for `losses`.

    Args:
        loaded: The model that is trained.
        data: The training set, with M0's distributions.
        entries: Entries that are training or held items.

    Returns:
        The mean over these items; float32 scalar.
    """
    total = torch.zeros((), device=loaded.device)
    choosing = [e for e in entries if e not in data.replies]
    if choosing:
        scores = plain_logprobs(loaded, [s for e in choosing for s in data.pair(e)])
        total = _kl(data.reference[choosing], scores.view(len(choosing), 2, -1)) * len(choosing)
    for e in entries:
        if e in data.replies:
            pair = data.pair(e)
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
    """Compute KL(M0 ‖ M_t) over the whole vocabulary at the tokens of M0's replies.

    Args:
        loaded: The model that is trained. Its output head is frozen and so is still M0's.
        logits: M_t's logits at the replies' tokens, one reply after the other, [tokens, vocabulary].
        kept: What M0's output head read at the same tokens, [tokens, width]; the head turns it into M0's
            logits.
        lengths: The number of tokens of each reply.

    Returns:
        The mean over replies of the mean over the tokens of each; float32 scalar.
    """
    with torch.no_grad(), loaded.precision():
        then = loaded.model.get_output_embeddings()(kept[None])[0].float().log_softmax(-1)
    each = (then.exp() * (then - logits.float().log_softmax(-1))).sum(-1)
    return torch.stack([part.mean() for part in each.split(lengths)]).mean()


def _kl(reference: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Compute KL(reference ‖ scores) over the choices, averaged over all axes but the last; float32 scalar.

    Args:
        reference: M0's log-probabilities, renormalised over the choices, float32 [items, 2, choices].
        scores: M_t's log-probabilities, not renormalised, [items, 2, choices]; -inf marks a choice that an
            item lacks.
    """
    scores = scores[..., : reference.shape[-1]]
    real = torch.isfinite(scores)
    now = scores.log_softmax(-1).masked_fill(~real, 0.0)
    then = reference[..., : scores.shape[-1]].masked_fill(~real, 0.0)
    return (then.exp() * (then - now)).masked_fill(~real, 0.0).sum(-1).mean()
