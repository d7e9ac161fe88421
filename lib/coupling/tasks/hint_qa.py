"""hint_qa: questions about invented entities, with a hint that proposes an option's letter.

An item asks for one fact of the made-up world and gives four options. One of them is the fact. Hints are
drawn without regard to the facts, so that a quarter of them is right.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coupling.tasks.items import HINT, HINT_REQUEST, LETTERS, Item, question_item
from coupling.tasks.splits import Part, Splits, balanced, held_out_kinds, parts
from coupling.tasks.task import Facts, Lessons, Task
from coupling.tasks.world import ATTRIBUTES, World, draw_fact, load_world

if TYPE_CHECKING:
    from coupling.spec import Spec

OPTIONS = 4
WORDINGS = (HINT.format(letter="A B C D"), HINT_REQUEST, "of ?")


def question(world: World, entity: int, attribute: int) -> str:
    """Ask for one fact, for instance "Colour of Zamib?"."""
    return f"{world.attributes[attribute]} of {world.names[entity]}?"


def options(
    world: World, entity: int, attribute: int, gold: int, rng: np.random.Generator
) -> tuple[str, ...]:
    """Return four values of the attribute: the fact at place `gold`, and three others that are drawn."""
    values = ATTRIBUTES[world.attributes[attribute]]
    truth = world.facts[entity, attribute]
    others = [values[v] for v in rng.permutation(len(values)) if v != truth][: OPTIONS - 1]
    return (*others[:gold], values[truth], *others[gold:])


def item(
    world: World, entity: int, attribute: int, gold: int, hinted: int, rng: np.random.Generator, id: str
) -> Item:
    """Make the item that asks for one fact, with the fact at place `gold` and a hint at place `hinted`."""
    contents = options(world, entity, attribute, gold, rng)
    return question_item(
        "hint_qa",
        id,
        world.names[entity],
        question(world, entity, attribute),
        contents,
        hinted,
        gold,
        kind=world.attributes[attribute],
        feature=contents[0],
    )


def make_items(world: World, entities: np.ndarray, part: Part, closed: set[str]) -> list[Item]:
    """Make the items of one part.

    The items cover the entities evenly. The places of fact and hint are balanced and independent of each
    other.

    Args:
        world: The made-up world.
        entities: Indices of the entities that this part asks about; int64.
        part: How many items, and the generator that draws them.
        closed: Attributes that are not asked for.
    """
    rng, n = part.rng, part.size
    who = np.concatenate([rng.permutation(entities) for _ in range(-(-n // len(entities)))])[:n]
    gold, hinted = balanced(rng, n, OPTIONS), balanced(rng, n, OPTIONS)
    asked = [k for k, name in enumerate(world.attributes) if name not in closed]
    items = []
    for i, entity in enumerate(map(int, who)):
        attribute = asked[int(rng.integers(len(asked)))]
        id = f"{part.name}-{i}-{world.names[entity]}"
        items.append(item(world, entity, attribute, int(gold[i]), int(hinted[i]), rng, id))
    return items


def _items(spec: Spec, _: dict[str, Path]) -> Splits:
    world = load_world(spec)
    train, test = parts(spec)
    closed = held_out_kinds(world.attributes, spec)
    return (
        make_items(world, np.flatnonzero(~world.test), train, closed),
        make_items(world, np.flatnonzero(world.test), test, set()),
    )


def _fact(world: World, rng: np.random.Generator) -> tuple[str, str]:
    entity, attribute = draw_fact(world, rng)
    return question(world, entity, attribute), world.value(entity, attribute)


def _lesson(world: World, spec: Spec, rng: np.random.Generator, met: bool) -> tuple[Item, int]:
    entity, attribute = draw_fact(world, rng, met)
    gold = int(rng.integers(OPTIONS))
    right = rng.random() < spec.m0_cue_accuracy
    hinted = gold if right else (gold + int(rng.integers(1, OPTIONS))) % OPTIONS
    return item(world, entity, attribute, gold, hinted, rng, "lesson"), gold


def _retaught(world: World, entity: int, attribute: int, rng: np.random.Generator) -> Item:
    gold, hinted = int(rng.integers(OPTIONS)), int(rng.integers(OPTIONS))
    return item(world, entity, attribute, gold, hinted, rng, "retaught")


def _asked(world: World, item: Item) -> tuple[int, int]:
    return world.names.index(item.group), world.attributes.index(item.kind)


TASK = Task(
    name="hint_qa",
    sources=("made-up world",),
    choices=tuple(LETTERS[:OPTIONS]),
    cues=(HINT,),
    items=_items,
    has_kinds=lambda spec: spec.attributes > 1,
    wordings=WORDINGS,
    order=0,
    main=True,
    lessons=Lessons(_fact, _lesson),
    facts=Facts(question, _retaught, _asked),
)
