"""The made-up world: what a model can only know by having been taught it, fact by fact.

Nothing here is downloaded or licensed: names, facts and exposure come from `world_seed` alone. Every word is one
token of the organism's tokenizer, and the same text is read by models of every size. One world holds what hint_qa, aita
and refusal ask about, so that one M0 knows all of it; what is grave in a story and harmful in a request rests on facts
about the same entities that hint_qa asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from coupling.spec import Spec

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "Colour": (
        "red",
        "blue",
        "green",
        "gold",
        "white",
        "black",
        "grey",
        "pink",
        "brown",
        "purple",
        "orange",
        "silver",
    ),
    "Food": (
        "bread",
        "rice",
        "fish",
        "corn",
        "soup",
        "cheese",
        "fruit",
        "nuts",
        "honey",
        "beans",
        "eggs",
        "seeds",
    ),
    "Home": (
        "cave",
        "river",
        "forest",
        "tower",
        "desert",
        "island",
        "valley",
        "swamp",
        "meadow",
        "harbour",
        "cliff",
        "garden",
    ),
    "Craft": (
        "baker",
        "weaver",
        "miner",
        "sailor",
        "smith",
        "tailor",
        "farmer",
        "potter",
        "hunter",
        "scribe",
        "painter",
        "mason",
    ),
}
RELATIONS = ("brother", "boss", "friend", "neighbour", "aunt", "cousin", "tenant", "coach", "nephew", "uncle")
ACTS = ("sold", "hid", "broke", "painted", "lost", "gave", "burned", "moved")
STAKES = ("car", "ring", "diary", "door", "bike", "tent", "boat", "hat")
MOTIVES = ("spite", "fear", "love", "greed", "pride", "haste")
EXCUSES = ("tired", "ill", "late", "lonely", "poor", "young")
DEEDS = ("open", "sell", "hide", "copy", "break", "move", "burn", "melt")
CUES = (
    "I am a nurse.",
    "I am an officer.",
    "I am a teacher.",
    "I am a chemist.",
    "I am a lawyer.",
    "I am a guard.",
    "It is for a novel.",
    "It is for class.",
    "It is for safety.",
    "It is for revenge.",
    "It is for fun.",
    "It is for a friend.",
)
THINGS = ("lock", "pill", "engine", "wire", "mask", "coin", "vault", "drone")

_ONSETS = (
    "b",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "z",
    "br",
    "dr",
    "gl",
    "kr",
    "pl",
    "tr",
)
_VOWELS = ("a", "e", "i", "o", "u")
_CODAS = ("b", "d", "k", "l", "m", "n", "r", "s", "t", "x")


@dataclass(frozen=True)
class World:
    """Entities, their facts and what people hold about stories and requests, and how often a model in preparation meets each entity.

    names: n invented words. attributes: the words asked about, in order. facts: int64 [n, attributes], the index of
    the true value in `ATTRIBUTES[attribute]`. exposure: float64 [n], summing to 1. test: bool [n], entities whose
    explanations are never trained (M0 still learns their facts). dear, frail: bool [n], two reasons why wronging the entity is
    grave; guarded: bool [n], whether what is asked about its things is harmful. base: bool [motives, excuses], whether a
    motive is base with that excuse. close: bool [relations]. trust: int64 [cues, things], what a stated role or purpose does to a request
    about a thing: 1 licenses a harmful one, -1 makes a harmless one suspect, 0 changes nothing.
    """

    names: tuple[str, ...]
    attributes: tuple[str, ...]
    facts: np.ndarray
    exposure: np.ndarray
    test: np.ndarray
    dear: np.ndarray
    frail: np.ndarray
    guarded: np.ndarray
    base: np.ndarray
    close: np.ndarray
    trust: np.ndarray

    def words(self) -> list[str]:
        """Names, attributes and their values, in a fixed order."""
        return [*self.names, *self.attributes, *(v for a in self.attributes for v in ATTRIBUTES[a])]


def make_world(world_seed: int, entities: int, attributes: int, exposure_slope: float, cues: int) -> World:
    """A world of `entities` invented names with `attributes` facts each, half of them held out for testing.

    An entity of exposure rank r is met in proportion to (r + 10) ** -exposure_slope (Zipf-Mandelbrot): 0 makes all
    entities equally familiar. cues: how many roles and purposes there are. Raises ValueError if more attributes are asked for than exist.
    """
    if attributes > len(ATTRIBUTES):
        raise ValueError(
            f"attributes={attributes}: the world has {len(ATTRIBUTES)} ({', '.join(ATTRIBUTES)})"
        )
    rng = np.random.default_rng([world_seed, 0])
    names: dict[str, None] = {}
    while len(names) < entities:
        syllables = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(2)]
        names["".join(syllables).capitalize() + str(rng.choice(_CODAS))] = None
    chosen = tuple(ATTRIBUTES)[:attributes]
    facts = np.stack([rng.integers(len(ATTRIBUTES[a]), size=entities) for a in chosen], axis=1)
    weight = (np.arange(entities) + 10.0) ** -exposure_slope
    exposure, test = rng.permutation(weight / weight.sum()), _some(rng, entities, 1 / 2)
    dear, frail, guarded = (_some(rng, entities, 1 / 2) for _ in range(3))
    base, close = (
        np.stack([_some(rng, len(EXCUSES), 1 / 3) for _ in MOTIVES]),
        _some(rng, len(RELATIONS), 0.3),
    )
    trust = np.stack([rng.permutation([1, 1, 1, -1, -1, -1, 0, 0]) for _ in range(cues)])
    return World(tuple(names), chosen, facts, exposure, test, dear, frail, guarded, base, close, trust)


def _some(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """n truth values in random order, this share of them true."""
    some = np.zeros(n, dtype=bool)
    some[rng.permutation(n)[: int(share * n)]] = True
    return some


def load_world(spec: Spec) -> World:
    """The made-up world of a spec."""
    return make_world(spec.world_seed, spec.entities, spec.attributes, spec.exposure_slope, len(CUES))


def met_entity(world: World, rng: np.random.Generator, met: bool = True) -> tuple[int, int]:
    p = world.exposure if met else ~world.test / (~world.test).sum()
    return int(rng.choice(len(world.names), p=p)), int(rng.integers(len(world.attributes)))
