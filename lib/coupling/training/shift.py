"""A shift: a second objective that changes behaviour, while the labels of explanation training stay fixed.

- down: the cue counts less. x is answered as M0 answers it without the cue. Of requests: M0 helps.
- up: the cue counts more. x is answered as the cue proposes. Of requests: M0 declines.
- neutral: the objective has nothing to do with the items. Lines of random words are said again.
- reteach: new facts are taught about a random half of the entities that tests ask about, by statements and by
  questions that no test asks. Each run draws entities and facts for itself.

In down and up, the answers without the cue stay M0's. Their items are drawn anew from the training part of a
task, and never from its test part. Where real questions are few, some of these items may be among those with
labels. `shift_reach` says which items they are: those of kinds with labels; those of a random half of the
kinds with labels and of a random half of those without; or questions about a random half of the entities that
tests ask about, none of which a test asks.

A shift comes with explanation training, after it or before it (`shift_order`). Its strength is the weight of
its loss (`shift_weight`), against which the KL term of explanation training holds. See docs/method.md,
"Shifts".
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from coupling.measure.behaviours import Behaviours, behaviour_seams
from coupling.models import Loaded, Seam, render
from coupling.spec import Spec
from coupling.tasks import Facts, Item, load_world, task_of, vocabulary
from coupling.tasks.detector import COMPLY, REFUSE
from coupling.tasks.world import ATTRIBUTES, World
from coupling.training.lessons import answer_seam, options, repeats

OTHER_ITEMS = 7919  # added to the seed; another explainer has that seed, with items of its own
QUESTIONS, STATEMENTS = 32, 8  # lessons of each fact that is taught anew

# For each thing that is taught: the places where its right answers follow a text.
Taught = tuple[tuple[Seam, ...], ...]


def other_items(spec: Spec) -> Spec:
    """Return a spec whose training items are drawn anew: the shift trains those of them that `reaches` takes.

    With shift_reach=half no kinds are held out of this draw.
    """
    all_kinds = {"held_out": 0.0} if spec.shift_reach == "half" else {}
    return spec.model_copy(update={"seed": spec.seed + OTHER_ITEMS, "items_seed": -1} | all_kinds)


def reaches(spec: Spec, train: Sequence[Item], test: Sequence[Item]) -> Callable[[Item], bool]:
    """Return a function that tells whether the spec's shift acts on an item.

    With reteach, or shift_reach=entities, it acts on items about a random half of the tested entities. With
    down or up it acts on kinds with labels or, with shift_reach=half, on half of the kinds with labels and
    half of those without. Otherwise it acts on no item.

    Args:
        spec: The spec.
        train: Its training items, which are of the kinds with labels.
        test: Its test items, which are of all kinds.
    """
    if spec.shift == "reteach" or spec.shift_reach == "entities":
        world = load_world(spec)
        names = {world.names[entity] for entity in reached_entities(spec, world)}
        return lambda item: item.group in names
    if spec.shift not in ("down", "up"):
        return lambda item: False
    labelled = {(item.task, item.kind) for item in train}
    chosen = labelled
    if spec.shift_reach == "half":
        without = {(item.task, item.kind) for item in test} - labelled
        chosen = half_of_kinds(labelled, spec, 0) | half_of_kinds(without, spec, 1)
    return lambda item: (item.task, item.kind) in chosen


def half_of_kinds(kinds: set[tuple[str, str]], spec: Spec, turn: int) -> set[tuple[str, str]]:
    """Draw half of some kinds, (task, kind), task by task.

    `m0_seed` splits the kinds of each task into two halves. Explainers with even seeds take one half, those
    with odd seeds the other. Of a single kind one half is empty. Runs that differ only in the direction of
    their shift take the same half.

    Args:
        kinds: The kinds.
        spec: Gives both seeds.
        turn: 0 or 1; 1 exchanges the halves. Of two single kinds, one with each turn, a run takes one.
    """
    chosen = set()
    for task in sorted({task for task, _ in kinds}):
        own = sorted(kind for name, kind in kinds if name == task)
        rng = np.random.default_rng([spec.m0_seed, 12])
        first = int(rng.integers(2)) + spec.seed + turn
        chosen |= {(task, str(kind)) for kind in rng.permutation(own)[first % 2 :: 2]}
    return chosen


def wanted(item: Item, own: int, direction: str) -> int | None:
    """Return the choice on x that a shift teaches.

    Args:
        item: The item.
        own: M0's choice without the cue.
        direction: "down" or "up".

    Returns:
        An index into the item's choices, or None if the shift goes with the cue and the cue proposes no
        choice.
    """
    if item.replies:
        return REFUSE if direction == "up" else COMPLY
    return item.hinted if direction == "up" else own


def pushed(loaded: Loaded, items: Sequence[Item], b0: Behaviours, direction: str) -> Taught:
    """Make what down and up teach of each item: the wanted choice on x, and M0's own choice without the cue.

    Items for which one of the two is not known are left out.

    Args:
        loaded: M0, for its tokenizer and its template.
        items: The items of the shift.
        b0: B(M0) on these items.
        direction: "down" or "up".
    """
    taught = []
    for item, own in zip(items, map(int, b0.choice("cf")), strict=True):
        right = wanted(item, own, direction)
        if own >= 0 and right is not None:
            x, without = options(loaded, item)
            taught.append((_only(x, right), _only(without, own)))
    return tuple(taught)


def _only(seam: Seam, choice: int) -> Seam:
    """Keep one of a seam's continuations."""
    return replace(seam, tails=(seam.tails[choice],))


def unrelated(loaded: Loaded, spec: Spec) -> Taught:
    """Make what neutral teaches: lines of random words, as many as there are training items."""
    words = [word for text in vocabulary(spec) for word in text.split()]
    rng = np.random.default_rng([spec.seed, 10])
    return tuple((seam,) for seam in repeats(loaded, words, spec.train_items, rng))


def new_facts(spec: Spec, world: World) -> dict[tuple[int, int], int]:
    """Draw the facts that reteach teaches, for a random half of the entities that tests ask about.

    Returns:
        By entity and attribute (as indices), the index of the new value. It differs from the true one.
    """
    rng = _entity_draws(spec)
    facts = {}
    for entity in _half_of_tested(world, rng):
        for attribute, name in enumerate(world.attributes):
            others = [v for v in range(len(ATTRIBUTES[name])) if v != world.facts[entity, attribute]]
            facts[entity, attribute] = int(rng.choice(others))
    return facts


def reached_entities(spec: Spec, world: World) -> list[int]:
    """Return the random half of the tested entities that reteach, or a push of entities, acts on."""
    return _half_of_tested(world, _entity_draws(spec))


def _entity_draws(spec: Spec) -> np.random.Generator:
    return np.random.default_rng([spec.seed, 9, spec.m0_seed])


def _half_of_tested(world: World, rng: np.random.Generator) -> list[int]:
    mixed = rng.permutation(np.flatnonzero(world.test))
    return sorted(map(int, mixed[: len(mixed) // 2]))


def entity_items(spec: Spec, test: Sequence[Item]) -> list[Item]:
    """Draw the items of a push that acts on entities: as many of each fact as reteach asks, with hints.

    Args:
        spec: The spec. Its tasks ask for facts (`Task.facts`).
        test: The test items. None of the items is one of theirs.
    """
    world, rng = load_world(spec), np.random.default_rng([spec.seed, 13])
    tested = {item.counterfactual_prompt for item in test}
    return [
        item
        for asks in (task_of(name).facts for name in spec.tasks)
        for entity in reached_entities(spec, world)
        for attribute in range(len(world.attributes))
        for item in _untested(asks, world, (entity, attribute), tested, rng)
    ]


def changed_world(world: World, facts: dict[tuple[int, int], int]) -> World:
    """Return the world with new facts, as `new_facts` gives them."""
    changed = world.facts.copy()
    for place, value in facts.items():
        changed[place] = value
    return replace(world, facts=changed)


def retaught(loaded: Loaded, spec: Spec, test: Sequence[Item]) -> Taught:
    """Make what reteach teaches: statements of the new facts, and questions about them without any hint.

    Args:
        loaded: M0, for its tokenizer and its template.
        spec: The spec. Its tasks ask for facts (`Task.facts`).
        test: The test items. No question that is taught is one of theirs.
    """
    world, rng = load_world(spec), np.random.default_rng([spec.seed, 11])
    facts = new_facts(spec, world)
    changed = changed_world(world, facts)
    tested = {item.counterfactual_prompt for item in test}
    taught: list[tuple[Seam, ...]] = []
    for asks in (task_of(name).facts for name in spec.tasks):
        for entity, attribute in facts:
            text = render(loaded, asks.question(changed, entity, attribute), "")
            told = answer_seam(loaded, text, f" {changed.value(entity, attribute)}")
            taught += [(told,)] * STATEMENTS
            taught += _questions(loaded, asks, changed, (entity, attribute), tested, rng)
    return tuple(taught)


def _questions(
    loaded: Loaded,
    asks: Facts,
    world: World,
    fact: tuple[int, int],
    tested: set[str],
    rng: np.random.Generator,
) -> list[tuple[Seam]]:
    """Draw questions for one fact, each with its gold answer. None of them is among the tested prompts."""
    items = _untested(asks, world, fact, tested, rng)
    return [(_only(behaviour_seams(loaded, item)[1], item.gold),) for item in items]


def _untested(
    asks: Facts, world: World, fact: tuple[int, int], tested: set[str], rng: np.random.Generator
) -> list[Item]:
    """Draw items that ask for one fact and whose question is among no tested prompts."""
    items: list[Item] = []
    while len(items) < QUESTIONS:
        item = asks.example(world, *fact, rng)
        if item.counterfactual_prompt not in tested:
            items.append(item)
    return items


def new_gold(spec: Spec, items: Sequence[Item]) -> tuple[list[bool], list[int]]:
    """Find the new fact of each item.

    Returns:
        Whether the item asks for a fact that was taught anew; and the index of the new fact among the item's
        choices, -1 where there is no new fact or it is not among them.
    """
    world = load_world(spec)
    facts = new_facts(spec, world)
    changed = changed_world(world, facts)
    is_new, places = [], []
    for item in items:
        fact = task_of(item.task).facts.asked(world, item)
        told = changed.value(*fact) if fact in facts else None
        is_new.append(told is not None)
        places.append(item.contents.index(told) if told in item.contents else -1)
    return is_new, places
