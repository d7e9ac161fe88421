"""hint_qa: questions about invented entities, with a hint line that proposes a letter."""

import numpy as np

from coupling.tasks.items import HINT, HINT_REQUEST, Item, balanced, question_item
from coupling.tasks.world import ATTRIBUTES, World

WORDINGS = [HINT.format(letter="A B C D"), HINT_REQUEST, "of ?"]


def question(world: World, entity: int, attribute: int) -> str:
    """The question about one fact, for instance "Colour of Zamib?"."""
    return f"{world.attributes[attribute]} of {world.names[entity]}?"


def options(world: World, entity: int, attribute: int, gold: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Four values of the attribute, the true one at place `gold`, the others drawn without replacement."""
    values = ATTRIBUTES[world.attributes[attribute]]
    truth = world.facts[entity, attribute]
    others = [values[v] for v in rng.permutation(len(values)) if v != truth][:3]
    return (*others[:gold], values[truth], *others[gold:])


def make_items(world: World, entities: np.ndarray, n: int, rng: np.random.Generator, split: str, closed: set[str]) -> list[Item]:
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
                "hint_qa", f"{split}-{i}-{name}", name, question(world, entity, attribute), contents, int(hinted[i]), int(gold[i]),
                kind=world.attributes[attribute], feature=contents[0],
            )
        )
    return items
