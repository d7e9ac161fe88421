"""A second objective, on behaviour alone, while the labels of explanation training stay what they were.

    down     the cue counts less: x is answered as M0 answers it without the cue (of requests: M0 helps)
    up       the cue counts more: x is answered as the cue proposes (of requests: M0 declines)
    neutral  nothing to do with the items: lines of random words are said again
    reteach  new facts about a random half of the entities that tests ask about, by statements and by questions that no test
             asks (method.md, randomised re-teaching); which entities and which facts, each run draws for itself

Without the cue, down and up keep M0's answers. Their items are drawn anew from the training split, never from the test split; where real
questions are few, some may be those that have labels too. A shift comes with explanation training, after it or before it (`shift_order`);
its strength is the weight of its loss, against which the KL term of explanation training holds.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coupling.measure.behaviours import Behaviours, behaviour_seams
from coupling.models import Loaded, Seam, completion, render
from coupling.spec import Spec
from coupling.tasks import Item, hint_qa, load_world, vocabulary
from coupling.tasks.detector import COMPLY, REFUSE
from coupling.tasks.items import question_item
from coupling.tasks.world import ATTRIBUTES, World
from coupling.training.preparation import options, repeats

OTHER_ITEMS = 7919  # added to the seed: whose items are those of another explainer
QUESTIONS, STATEMENTS = 32, 8  # of each fact that is taught anew
Taught = tuple[tuple[Seam, ...], ...]


def other_items(spec: Spec) -> Spec:
    """The spec whose training items are those of the shift."""
    return spec.model_copy(update={"seed": spec.seed + OTHER_ITEMS})


def wanted(item: Item, own: int, direction: str) -> int | None:
    """The choice that a direction wants on x; own: M0's without the cue. None where the cue proposes none."""
    if item.replies:
        return REFUSE if direction == "up" else COMPLY
    return item.hinted if direction == "up" else own


def pushed(loaded: Loaded, items: Sequence[Item], b0: Behaviours, direction: str) -> Taught:
    """What is taught of each item: the wanted choice on x, and M0's own without the cue. Items on which either is not known are left out."""
    taught = []
    for item, own in zip(items, b0.choice("cf"), strict=True):
        right = wanted(item, int(own), direction)
        if own >= 0 and right is not None:
            taught.append(
                tuple(
                    replace(s, tails=(s.tails[k],))
                    for s, k in zip(options(loaded, item), (right, int(own)), strict=True)
                )
            )
    return tuple(taught)


def unrelated(loaded: Loaded, spec: Spec) -> Taught:
    """Lines of words to be said again, as many as there are training items."""
    words = [w for text in vocabulary(spec) for w in text.split()]
    return tuple(
        (s,) for s in repeats(loaded, words, spec.train_items, np.random.default_rng([spec.seed, 10]))
    )


def new_facts(spec: Spec, world: World) -> dict[tuple[int, int], int]:
    """The facts taught anew: (entity, attribute) to the index of another value, for a random half of the test entities."""
    rng = np.random.default_rng([spec.seed, 9, spec.m0_seed])
    entities = rng.permutation(np.flatnonzero(world.test))[: int(world.test.sum()) // 2]
    facts = {}
    for entity in sorted(map(int, entities)):
        for attribute, name in enumerate(world.attributes):
            others = [v for v in range(len(ATTRIBUTES[name])) if v != world.facts[entity, attribute]]
            facts[entity, attribute] = int(rng.choice(others))
    return facts


def retaught(loaded: Loaded, spec: Spec, test: Sequence[Item]) -> Taught:
    """Statements of the new facts, and questions about them without any hint, none of which is a test item's."""
    world, rng, asked = (
        load_world(spec),
        np.random.default_rng([spec.seed, 11]),
        {i.counterfactual_prompt for i in test},
    )
    changed = replace(world, facts=world.facts.copy())
    for place, value in new_facts(spec, world).items():
        changed.facts[place] = value
    taught = []
    for entity, attribute in new_facts(spec, world):
        asks = hint_qa.question(changed, entity, attribute)
        told = ATTRIBUTES[world.attributes[attribute]][changed.facts[entity, attribute]]
        prefix, tail = completion(loaded.tokenizer, render(loaded, asks, ""), f" {told}")
        taught += [(Seam(prefix, (tail,)),)] * STATEMENTS
        left = QUESTIONS
        while left:
            gold, hinted = int(rng.integers(4)), int(rng.integers(4))
            item = question_item(
                "hint_qa",
                "new",
                "new",
                asks,
                hint_qa.options(changed, entity, attribute, gold, rng),
                hinted,
                gold,
            )
            if item.counterfactual_prompt not in asked:
                without = behaviour_seams(loaded, item)[1]
                taught.append((replace(without, tails=(without.tails[gold],)),))
                left -= 1
    return tuple(taught)


def new_gold(spec: Spec, items: Sequence[Item]) -> tuple[list[bool], list[int]]:
    """Of each item whether its entity was taught anew, and the index of the new fact among its choices (-1 where it is not, or not among them)."""
    world = load_world(spec)
    facts = {
        (world.names[e], world.attributes[a]): ATTRIBUTES[world.attributes[a]][v]
        for (e, a), v in new_facts(spec, world).items()
    }
    told = [facts.get((i.group, i.kind)) for i in items]
    return [t is not None for t in told], [
        i.contents.index(t) if t in i.contents else -1 for i, t in zip(items, told, strict=True)
    ]
