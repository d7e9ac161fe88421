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
from dataclasses import dataclass, replace

import numpy as np
import torch

from coupling.measure.behaviours import CONDITIONS, Behaviours, alike, behaviour_seams, behaviour_texts
from coupling.measure.explanations import explanation_seam
from coupling.models import Loaded, Seam, encode, generated, head_inputs
from coupling.spec import Spec
from coupling.tasks import Item

HELD_TOKENS = 8  # of M0's reply, at which the KL term holds M_t


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

    def relabelled(
        self, loaded: Loaded, items: Sequence[Item], labels: Sequence[str | None]
    ) -> "TrainingSet":
        """The same with other labels of its items; those that have none now keep theirs."""
        pairs = zip(self.seams, items, labels, strict=True)
        return replace(
            self,
            seams=tuple(
                s if text is None else (*s[:2], explanation_seam(loaded, i, text)) for s, i, text in pairs
            ),
        )

    def holding(self, b: Behaviours) -> "TrainingSet":
        """The same with the behaviours that the KL term holds to, of items that choose; held replies stay as they are."""
        return replace(self, reference=_reference(b).to(self.reference.device))

    def group(self, entry: int, spec: Spec) -> tuple[Seam, ...]:
        """The seams of an entry that the spec's loss reads."""
        if entry >= len(self.seams):
            return self.taught[entry - len(self.seams)]
        return self.seams[entry][0 if spec.kl_weight else 2 : 3 if spec.explanation_weight else 2]


def training_set(
    m0: Loaded,
    items: Sequence[Item],
    b0: Behaviours,
    labels: Sequence[str],
    replies: dict[str, torch.Tensor],
    taught: Sequence[tuple[Seam, ...]] = (),
) -> TrainingSet:
    """The training set of items with these M0 behaviours and label texts, M0's replies as `held_replies` gives them, and of what is taught."""
    seams = []
    for i in items:
        pair = (
            behaviour_seams(m0, i)
            if not i.replies
            else tuple(
                Seam(encode(m0.tokenizer, text), (tuple(replies[f"{i.id}.{c}"].tolist()),))
                for c, text in zip(CONDITIONS, behaviour_texts(m0, i), strict=True)
            )
        )
        seams.append(pair)
    return TrainingSet(
        tuple((*s, explanation_seam(m0, i, t)) for s, i, t in zip(seams, items, labels, strict=True)),
        _reference(b0).to(m0.device),
        {k: replies[f"{i.id}.inputs"].to(m0.device) for k, i in enumerate(items) if i.replies},
        tuple(taught),
    )


def _reference(b: Behaviours) -> torch.Tensor:
    return torch.from_numpy(np.stack([b.distribution("x"), b.distribution("cf")], 1))


def taught_seams(m0: Loaded, items: Sequence[Item]) -> list[tuple[Seam, Seam]]:
    """Of items whose behaviour is taught, what is right on x, as the cue says, and without it."""
    pairs = [(behaviour_seams(m0, i), (i.hinted, i.gold)) for i in items]
    return [
        tuple(Seam(s.prefix, (s.tails[right],)) for s, right in zip(seams, both, strict=True))
        for seams, both in pairs
    ]


def held_replies(m0: Loaded, items: Sequence[Item], batch: int) -> dict[str, torch.Tensor]:
    """What the KL term holds of M0's replies, by item id: ".x" and ".cf", their tokens, int64; ".inputs", what M0's output
    head read at them, [tokens, width]."""
    out: dict[str, torch.Tensor] = {}
    for which in alike(items, batch):
        part = [items[k] for k in which]
        if part[0].replies:
            pairs = reply_seams(m0, part)
            for item, pair, inputs in zip(part, pairs, head_inputs(m0, pairs), strict=True):
                out |= {
                    f"{item.id}.{c}": torch.tensor(s.tails[0]) for c, s in zip(CONDITIONS, pair, strict=True)
                }
                out[f"{item.id}.inputs"] = inputs.contiguous()
    return out


def reply_seams(m0: Loaded, items: Sequence[Item]) -> list[tuple[Seam, Seam]]:
    """Where the first tokens of M0's greedy replies, with the end mark if it comes so soon, follow x and x without the cue."""
    prompts = [encode(m0.tokenizer, text) for i in items for text in behaviour_texts(m0, i)]
    said = generated(m0, prompts, HELD_TOKENS)
    each = [
        Seam(p, (tuple((*r, m0.tokenizer.eos_token_id)[:HELD_TOKENS]),))
        for p, r in zip(prompts, said, strict=True)
    ]
    return list(zip(each[::2], each[1::2], strict=True))
