"""One adapted model that trains and evaluates on the same items by each way that is compared."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from coupling.bench import ancestor
from coupling.bench.cases import Case
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import generate, labels
from coupling.models import Loaded, adapted
from coupling.models.adapter import accelerate, peft_forward
from coupling.spec import Spec
from coupling.tasks import Item
from coupling.training.checkpoints import trainable
from coupling.training.data import TrainingSet, training_set
from coupling.training.loop import add_gradients, optimizer_of
from coupling.training.loss import behaviour_kl, explanation_loss
from coupling.training.passes import entry_sizes, passes, tokens_in_memory

# Each reference beside the engine, as both train. The ancestor knows no KL term.
AGAINST = {"plain": ("reference", "engine"), "ancestor": ("ancestor", "engine without KL")}
PATHS = tuple(path for both in AGAINST.values() for path in both)


@dataclasses.dataclass
class Pair:
    """One model with a fresh adapter, its items, and how each path of PATHS trains and evaluates on them.

    Attributes:
        spec: The spec of the case.
        tuned: M0 with its adapter.
        items: The training items. They are also evaluated.
        data: The training set of these items.
        step: Items in a training step.
        plain: Items in one pass of a reference.
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

    def __post_init__(self) -> None:
        self.sizes = entry_sizes(self.spec, self.data)
        self.plainly = dataclasses.replace(self.tuned, packs=False)
        self.optimizer = optimizer_of(self.spec, self.tuned.model)
        self._by_engine = True  # whether layers have the engine's forward pass
        self._rooms: dict[str, tuple[Spec, list[int], int]] = {}

    def in_precision(self, dtype: torch.dtype) -> None:
        """Let all paths compute in this precision."""
        self.tuned.dtype = self.plainly.dtype = dtype

    def move(self, scale: float = 0.01) -> None:
        """Move the adapter by chance. A fresh one is zero, and a comparison with it would say nothing."""
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for _, weight in trainable(self.tuned.model):
                weight.add_((torch.randn(weight.shape, generator=generator) * scale).to(weight.device))

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
        """Add the gradients of a path's loss on some items to those of the adapter.

        The loss is cross-entropy + KL; without KL for the ancestor and for the engine beside it.

        Returns:
            The loss.
        """
        self.take(path)
        if path in ("reference", "ancestor"):
            return self._by_plain_passes(path, chosen)
        spec, sizes, tokens = self._room(path)
        parts = passes([sizes[i] for i in chosen], tokens)
        return add_gradients(spec, self.tuned, self.data, chosen, parts)["loss"]

    def take(self, path: str) -> None:
        """Give the model's layers the forward pass of a path, where they have another one."""
        by_engine = path not in ("reference", "ancestor")
        if by_engine == self._by_engine:
            return
        if by_engine:
            accelerate(self.tuned, self.spec.fused)
        else:
            peft_forward(self.tuned)
        self._by_engine = by_engine

    def _room(self, path: str) -> tuple[Spec, list[int], int]:
        """Return the engine's spec on a path, the tokens of each item, and those that a pass may hold."""
        if path not in self._rooms:
            without = {} if path == "engine" else {"kl_weight": 0.0}
            spec = self.spec.model_copy(update=without)
            sizes = entry_sizes(spec, self.data)
            self._rooms[path] = spec, sizes, tokens_in_memory(spec, self.tuned, self.data, sizes)
        return self._rooms[path]

    def _by_plain_passes(self, path: str, chosen: list[int]) -> float:
        total = 0.0
        for start in range(0, len(chosen), self.plain):
            part = chosen[start : start + self.plain]
            for term in self._terms(path, part):
                loss = term() * (len(part) / len(chosen))
                loss.backward()
                total += loss.item()
        return total

    def _terms(self, path: str, part: list[int]) -> tuple[Callable[[], torch.Tensor], ...]:
        """Return the terms of the loss. Each builds its graph when it is called, so that memory holds one."""
        seams = [self.data.seams[i][2] for i in part]
        if path == "ancestor":
            return (lambda: ancestor.loss(self.plainly, seams),)
        return (
            lambda: explanation_loss(self.plainly, seams),
            lambda: behaviour_kl(self.plainly, self.data, part),
        )

    def evaluate(self, path: str, items: list[Item]) -> tuple[Behaviours | np.ndarray, list[str]]:
        """Compute behaviours and explanations of items in one batch, by a path of PATHS.

        Returns:
            The behaviours, of the ancestor the choices that it says (see `ancestor.evaluate`); and the texts.
        """
        self.take(path)
        if path == "ancestor":
            return ancestor.evaluate(self.plainly, items)
        if path == "reference":
            texts = generate(self.plainly, items, "letter", len(items))
            return behaviours(self.plainly, items, len(items)), texts
        return evaluate(self.tuned, items, "letter", len(items))[:2]

    def counted(self, first: int) -> float:
        """Count the operations of a training step that reference and engine are credited with.

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


def check_training(pair: Pair, count: int) -> None:
    """Check that in float32 each reference gives the engine's loss on the first items.

    Args:
        pair: The pair. Its precision is as before afterwards.
        count: How many items are compared.

    Raises:
        AssertionError: Where the losses differ.
    """
    with _in_float32(pair):
        for against, paths in AGAINST.items():
            of_reference, of_engine = (pair.gradients(path, pair.chosen(0, count)) for path in paths)
            pair.optimizer.zero_grad(set_to_none=True)
            assert abs(of_reference - of_engine) < 1e-4, (
                f"losses differ in float32: {of_reference} ({against}) and {of_engine} (engine)"
            )


def check_evaluation(pair: Pair, count: int) -> None:
    """Check that in float32 each reference gives the engine's behaviours and texts on the first items.

    Of the ancestor, which generates behaviours, the choices are compared where it says one.

    Args:
        pair: The pair. Its precision is as before afterwards.
        count: How many items are compared.

    Raises:
        AssertionError: Where they differ. The message says in what.
    """
    with _in_float32(pair):
        found = [pair.evaluate(path, pair.items[:count]) for path in ("reference", "engine", "ancestor")]
    (plain, texts), (engine, _), (said, _) = found
    furthest = max(np.abs(plain.x - engine.x).max(), np.abs(plain.cf - engine.cf).max())
    assert furthest < 1e-2, f"behaviours differ in float32, by up to {furthest}"
    choices = np.stack([engine.choice("x"), engine.choice("cf")])
    assert (choices == [plain.choice("x"), plain.choice("cf")]).all(), "choices differ in float32"
    assert (choices == said)[said >= 0].all(), "choices differ in float32 from those that are generated"
    assert all(other == texts for _, other in found), "texts differ in float32"


@contextmanager
def _in_float32(pair: Pair) -> Iterator[None]:
    """Let a pair compute in float32 within the block."""
    before = pair.tuned.dtype
    pair.in_precision(torch.float32)
    try:
        yield
    finally:
        pair.in_precision(before)
