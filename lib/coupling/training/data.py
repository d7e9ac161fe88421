"""What training reads: token ids with the fixed labels among them, and M0's fixed behaviours.

Everything here is made once, before the first step. `training_set` builds it; the loss (training/loss.py)
reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from coupling.measure.behaviours import CONDITIONS, Behaviours, alike, behaviour_seams, behaviour_texts
from coupling.measure.explanations import explanation_seam
from coupling.models import Loaded, Seam, Tails, encode, find_tails, generated, head_inputs
from coupling.spec import Spec
from coupling.tasks import Item

HELD_TOKENS = 8  # the KL term holds M_t to M0 at so many first tokens of M0's reply


@dataclass(frozen=True)
class TrainingSet:
    """The training items and what is taught beside them, as token ids, with M0's behaviours.

    A step of training works on entries, counted through: first the training items, then the held items, then
    what is taught.

    Attributes:
        seams: For each item three seams: where its choices (or M0's reply) follow x, where they follow x
            without the cue, and where its label follows the explanation request.
        reference: B(M0) on the training items and then on the held items: M0's log-probabilities,
            renormalised over the choices, float32 [items, 2, choices], x first; NaN for items whose behaviour
            is a reply.
        replies: For each training or held item whose behaviour is a reply, by its entry, what M0's output
            head read at the tokens of M0's replies on x and then on x without the cue, [tokens, width].
        held: For each item that has no label and that the KL term alone reads, its seams on x and on x
            without the cue.
        taught: For each entry that is taught as behaviour alone, its seams with the right answer as their
            only tail; the same number of seams for each entry, for instance one on x and one without the cue.
    """

    seams: tuple[tuple[Seam, Seam, Seam], ...]
    reference: torch.Tensor
    replies: dict[int, torch.Tensor]
    held: tuple[tuple[Seam, Seam], ...] = ()
    taught: tuple[tuple[Seam, ...], ...] = ()
    _found: dict[tuple[Seam, ...], Tails] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def behaving(self) -> int:
        """The number of entries that the KL term reads: training items and held items."""
        return len(self.seams) + len(self.held)

    @property
    def entries(self) -> int:
        """The number of all entries."""
        return self.behaving + len(self.taught)

    def relabelled(
        self, loaded: Loaded, items: Sequence[Item], labels: Sequence[str | None]
    ) -> "TrainingSet":
        """Return the training set with new labels; an item whose new label is None keeps its old one.

        Args:
            loaded: The model, whose tokenizer encodes the labels.
            items: The training items, in the order of `seams`.
            labels: One label text an item, or None.
        """
        pairs = zip(self.seams, items, labels, strict=True)
        return replace(
            self,
            seams=tuple(
                s if text is None else (*s[:2], explanation_seam(loaded, i, text)) for s, i, text in pairs
            ),
        )

    def holding(self, b: Behaviours) -> "TrainingSet":
        """Return the training set with other behaviours in the place of B(M0), for the KL term to hold.

        This changes items with choices alone; the replies that are held stay M0's.

        Args:
            b: Behaviours on the training items, in the order of `seams`, and then on the held items.
        """
        return replace(self, reference=_reference(b).to(self.reference.device))

    def group(self, entry: int, spec: Spec) -> tuple[Seam, ...]:
        """Return the seams of an entry that the spec's loss reads; none where no term has a weight."""
        if entry >= self.behaving:
            return self.taught[entry - self.behaving]
        if entry >= len(self.seams):
            return self.pair(entry)
        return self.seams[entry][0 if spec.kl_weight else 2 : 3 if spec.explanation_weight else 2]

    def pair(self, entry: int) -> tuple[Seam, ...]:
        """Return the seams of a training or held item on x and on x without the cue."""
        items = len(self.seams)
        return self.seams[entry][:2] if entry < items else self.held[entry - items]

    def found(self, entry: int, spec: Spec) -> Tails:
        """Return the prefix tree of an entry's group with its tails. It is made once, since epochs repeat."""
        group = self.group(entry, spec)
        if group not in self._found:
            self._found[group] = find_tails(group)
        return self._found[group]


def training_set(
    m0: Loaded,
    items: Sequence[Item],
    b0: Behaviours,
    labels: Sequence[str],
    replies: dict[str, torch.Tensor],
    taught: Sequence[tuple[Seam, ...]] = (),
    held: Sequence[Item] = (),
) -> TrainingSet:
    """Build the training set.

    Args:
        m0: The base model.
        items: The training items.
        b0: B(M0) on these items, and then on the held items.
        labels: The fixed label text of each item.
        replies: M0's replies on the items whose behaviour is a reply, as `held_replies` gives them.
        taught: What is taught as behaviour alone (see `TrainingSet`).
        held: Items without a label, whose behaviour the KL term holds.
    """
    both, pairs = (*items, *held), []
    for i in both:
        if i.replies:
            pair = tuple(
                Seam(encode(m0.tokenizer, text), (tuple(replies[f"{i.id}.{c}"].tolist()),))
                for c, text in zip(CONDITIONS, behaviour_texts(m0, i), strict=True)
            )
        else:
            pair = behaviour_seams(m0, i)
        pairs.append(pair)
    return TrainingSet(
        tuple((*pairs[k], explanation_seam(m0, i, labels[k])) for k, i in enumerate(items)),
        _reference(b0).to(m0.device),
        {k: replies[f"{i.id}.inputs"].to(m0.device) for k, i in enumerate(both) if i.replies},
        tuple(pairs[len(items) :]),
        tuple(taught),
    )


def _reference(b: Behaviours) -> torch.Tensor:
    """Return the behaviours as renormalised log-probabilities, float32 [items, 2, choices], x first."""
    return torch.from_numpy(np.stack([b.distribution("x"), b.distribution("cf")], 1))


def taught_seams(m0: Loaded, items: Sequence[Item]) -> list[tuple[Seam, Seam]]:
    """Return seams that teach a behaviour: the choice that the cue proposes on x, the gold one without."""
    pairs = [(behaviour_seams(m0, i), (i.hinted, i.gold)) for i in items]
    return [
        tuple(Seam(s.prefix, (s.tails[right],)) for s, right in zip(seams, both, strict=True))
        for seams, both in pairs
    ]


def held_replies(m0: Loaded, items: Sequence[Item], batch: int) -> dict[str, torch.Tensor]:
    """Compute what the KL term needs of M0's replies; items with choices are passed over.

    The distributions over the whole vocabulary would take much room. The inputs of the output head take
    little, and the head, which training leaves frozen, gives the distributions back.

    Args:
        m0: The base model.
        items: Training items.
        batch: How many items share a pass.

    Returns:
        For each item with replies three tensors: "<id>.x" and "<id>.cf", the replies' token ids, int64
        [tokens]; and "<id>.inputs", what M0's output head read at the tokens of both, [tokens of both,
        width].
    """
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
    """Return the seams where the start of M0's greedy reply follows x and x without the cue.

    The start is HELD_TOKENS tokens. The end mark is one of these tokens where the reply is shorter.
    """
    prompts = [encode(m0.tokenizer, text) for i in items for text in behaviour_texts(m0, i)]
    said = generated(m0, prompts, HELD_TOKENS)
    each = [
        Seam(p, (tuple((*r, m0.tokenizer.eos_token_id)[:HELD_TOKENS]),))
        for p, r in zip(prompts, said, strict=True)
    ]
    return list(zip(each[::2], each[1::2], strict=True))
