"""hint_qa: questions about invented entities, with a hint line that proposes a letter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coupling.tasks.items import HINT, HINT_REQUEST, LETTERS, Item, balanced, kinds_of, question_item
from coupling.tasks.task import Lessons, Splits, Task
from coupling.tasks.world import ATTRIBUTES, World, load_world, met_entity

if TYPE_CHECKING:
    from coupling.spec import Spec

WORDINGS = [HINT.format(letter="A B C D"), HINT_REQUEST, "of ?"]


def question(world: World, entity: int, attribute: int) -> str:
    """The question about one fact, for instance "Colour of Zamib?"."""
    return f"{world.attributes[attribute]} of {world.names[entity]}?"


def options(
    world: World, entity: int, attribute: int, gold: int, rng: np.random.Generator
) -> tuple[str, ...]:
    """Four values of the attribute, the true one at place `gold`, the others drawn without replacement."""
    values = ATTRIBUTES[world.attributes[attribute]]
    truth = world.facts[entity, attribute]
    others = [values[v] for v in rng.permutation(len(values)) if v != truth][:3]
    return (*others[:gold], values[truth], *others[gold:])


def make_items(
    world: World, entities: np.ndarray, n: int, rng: np.random.Generator, split: str, closed: set[str]
) -> list[Item]:
    """n items that cover `entities` evenly and ask for no `closed` attribute; gold place and hinted letter are balanced and independent."""
    if not len(entities):
        raise ValueError(f"no entities in the {split} split")
    who = np.concatenate([rng.permutation(entities) for _ in range(-(-n // len(entities)))])[:n]
    gold, hinted = balanced(rng, n, 4), balanced(rng, n, 4)
    asked = [k for k, name in enumerate(world.attributes) if name not in closed]
    items = []
    for i in range(n):
        entity, attribute = int(who[i]), asked[int(rng.integers(len(asked)))]
        contents = options(world, entity, attribute, gold[i], rng)
        name = world.names[entity]
        items.append(
            question_item(
                "hint_qa",
                f"{split}-{i}-{name}",
                name,
                question(world, entity, attribute),
                contents,
                int(hinted[i]),
                int(gold[i]),
                kind=world.attributes[attribute],
                feature=contents[0],
            )
        )
    return items


def _fact(world: World, rng: np.random.Generator) -> tuple[str, str]:
    entity, attribute = met_entity(world, rng)
    return question(world, entity, attribute), ATTRIBUTES[world.attributes[attribute]][
        world.facts[entity, attribute]
    ]


def _quiz(world: World, spec: Spec, rng: np.random.Generator, met: bool) -> tuple[Item, int]:
    entity, attribute = met_entity(world, rng, met)
    gold = int(rng.integers(4))
    hinted = gold if rng.random() < spec.m0_cue_accuracy else (gold + int(rng.integers(1, 4))) % 4
    contents = options(world, entity, attribute, gold, rng)
    return question_item(
        "hint_qa", "lesson", world.names[entity], question(world, entity, attribute), contents, hinted, gold
    ), gold


def _items(spec: Spec, _: dict[str, Path]) -> Splits:
    world = load_world(spec)
    train, test = np.flatnonzero(~world.test), np.flatnonzero(world.test)
    closed = kinds_of(world.attributes, spec.world_seed, spec.held_out)
    streams = {
        "train": np.random.default_rng([spec.seed, 1]),
        "test": np.random.default_rng([spec.world_seed, 2]),
    }
    return (
        make_items(world, train, spec.train_items, streams["train"], "train", closed),
        make_items(world, test, spec.test_items, streams["test"], "test", set()),
    )


TASK = Task(
    name="hint_qa",
    sources=("made-up world",),
    choices=tuple(LETTERS[:4]),
    cues=(HINT,),
    items=_items,
    has_kinds=lambda spec: spec.attributes > 1,
    wordings=tuple(WORDINGS),
    order=0,
    main=True,
    lessons=Lessons(_fact, _quiz),
    facts_can_change=True,
)
