"""One adapted model that trains and evaluates on the same items by the reference and by the engine."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from coupling.bench.cases import Case
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import generate, labels
from coupling.models import Loaded, adapted
from coupling.models.adapter import accelerate, peft_forward
from coupling.spec import Spec
from coupling.tasks import Item
from coupling.training.data import TrainingSet, training_set
from coupling.training.loop import add_gradients, optimizer_of
from coupling.training.loss import behaviour_kl, explanation_loss
from coupling.training.passes import passes, size, tokens_in_memory

PATHS = ("reference", "engine")


@dataclasses.dataclass
class Pair:
    """One model with a fresh adapter, its items, and how both paths train and evaluate on them.

    Attributes:
        spec: The spec of the case.
        tuned: M0 with its adapter.
        items: The training items. They are also evaluated.
        data: The training set of these items.
        step: Items in a training step.
        plain: Items in one pass of the reference.
        tokens: Tokens that a pass of the engine may hold. It is measured by the first pass; 0 before that.
        sizes: Tokens of each item's prefix tree.
        plainly: The same model, for plain padded passes.
        optimizer: The optimiser of the adapter.
    """

    spec: Spec
    tuned: Loaded
    items: list[Item]
    data: TrainingSet
    step: int
    plain: int
    tokens: int = 0

    def __post_init__(self) -> None:
        self.sizes = [size(seams) for seams in self.data.seams]
        self.plainly = dataclasses.replace(self.tuned, packs=False)
        self.optimizer = optimizer_of(self.spec, self.tuned.model)

    def in_precision(self, dtype: torch.dtype) -> None:
        """Let both paths compute in this precision."""
        self.tuned.dtype = self.plainly.dtype = dtype

    def chosen(self, first: int, count: int | None = None) -> list[int]:
        """Return the indices of a step's items from `first` on. After the last item comes item 0."""
        return [(first + i) % len(self.items) for i in range(count or self.step)]

    def train(self, path: str, first: int, count: int | None = None) -> float:
        """Make one optimiser step by a path of PATHS, on the items that `chosen` returns.

        Returns:
            The loss.
        """
        loss = self.gradients(path, self.chosen(first, count))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def gradients(self, path: str, chosen: list[int]) -> float:
        """Add the gradients of cross-entropy + KL on some items to those of the adapter.

        Returns:
            The loss.
        """
        return self._of_engine(chosen) if path == "engine" else self._of_reference(chosen)

    def _of_engine(self, chosen: list[int]) -> float:
        accelerate(self.tuned, self.spec.fused)
        self.tokens = self.tokens or tokens_in_memory(self.spec, self.tuned, self.data, self.sizes)
        parts = passes([self.sizes[i] for i in chosen], self.tokens)
        return add_gradients(self.spec, self.tuned, self.data, chosen, parts)["loss"]

    def _of_reference(self, chosen: list[int]) -> float:
        peft_forward(self.tuned)
        total = 0.0
        for start in range(0, len(chosen), self.plain):
            part = chosen[start : start + self.plain]
            for term in self._terms(part):
                loss = term() * (len(part) / len(chosen))
                loss.backward()
                total += loss.item()
        return total

    def _terms(self, part: list[int]) -> tuple[Callable[[], torch.Tensor], ...]:
        """Return the terms of the loss. Each builds its graph when it is called, so that memory holds one."""
        seams = [self.data.seams[i][2] for i in part]
        return (
            lambda: explanation_loss(self.plainly, seams),
            lambda: behaviour_kl(self.plainly, self.data, part),
        )

    def evaluate(self, path: str, items: list[Item]) -> tuple[Behaviours, list[str]]:
        """Compute behaviours and explanations of items in one batch, by a path of PATHS."""
        if path == "engine":
            accelerate(self.tuned, self.spec.fused)
            return evaluate(self.tuned, items, "letter", len(items))[:2]
        peft_forward(self.tuned)
        texts = generate(self.plainly, items, "letter", len(items))
        return behaviours(self.plainly, items, len(items)), texts

    def counted(self, first: int) -> float:
        """Count the operations of a training step that both paths are credited with.

        They are those of the forward pass and of the input gradients of the packed tokens: 2 a weight and
        token each way. Linear layers count for all tokens, the output head for those that are predicted from.
        Attention, the adapter, and the weight gradients of frozen layers do not count.

        Args:
            first: The first item of the step, as for `train`.
        """
        base = self.tuned.model.get_base_model()
        head = base.get_output_embeddings().weight.numel()
        inner = sum(
            module.weight.numel()
            for name, module in base.named_modules()
            if isinstance(module, torch.nn.Linear) and name.endswith("base_layer")
        )
        chosen = self.chosen(first)
        tokens = sum(self.sizes[i] for i in chosen)
        predicted = sum(2 + len(self.data.seams[i][2].tails[0]) for i in chosen)
        return 4.0 * (inner * tokens + head * predicted)


@contextmanager
def paired(case: Case, spec: Spec, m0: Loaded, items: list[Item]) -> Iterator[Pair]:
    """Give M0 a fresh adapter for the length of the block.

    M0's distributions are uniform and the labels random. What they are does not matter to speed.
    """
    uniform = np.full((2, len(items), len(items[0].choices)), -np.log(len(items[0].choices)), np.float32)
    b0 = Behaviours(tuple(item.id for item in items), *uniform)
    texts = []
    for k, item in enumerate(items):
        made_up = np.random.default_rng(k).normal(size=(2, 1, 4))
        texts += labels([item], Behaviours((item.id,), *made_up), "letter")
    with adapted(m0, spec) as tuned:
        yield Pair(spec, tuned, items, training_set(m0, items, b0, texts, {}), case.step, case.plain)


def check(pair: Pair, count: int) -> None:
    """Check that in float32 both paths give the same loss, behaviours and texts on the first items.

    Args:
        pair: The pair. Its precision is as before afterwards.
        count: How many items are compared.

    Raises:
        AssertionError: Where the paths differ. The message says in what.
    """
    dtype = pair.tuned.dtype
    pair.in_precision(torch.float32)
    found = []
    for path in PATHS:
        loss = pair.gradients(path, list(range(min(count, pair.step))))
        found.append((loss, *pair.evaluate(path, pair.items[:count])))
        pair.optimizer.zero_grad(set_to_none=True)
    (loss_a, b_a, texts_a), (loss_b, b_b, texts_b) = found
    assert abs(loss_a - loss_b) < 1e-4, f"losses differ in float32: {loss_a} and {loss_b}"
    furthest = max(np.abs(b_a.x - b_b.x).max(), np.abs(b_a.cf - b_b.cf).max())
    assert furthest < 1e-2, f"behaviours differ in float32, by up to {furthest}"
    assert all((b_a.choice(c) == b_b.choice(c)).all() for c in ("x", "cf")), "choices differ in float32"
    assert texts_a == texts_b, "texts differ in float32"
    pair.in_precision(dtype)
