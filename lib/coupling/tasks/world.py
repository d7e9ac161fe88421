"""The made-up world: invented entities whose attributes a model can only know by having been taught them.

Nothing here is downloaded or licensed: names, facts and exposure come from `world_seed` alone. Every word is one
token of the organism's tokenizer, and the same text is read by models of every size.
"""

from dataclasses import dataclass

import numpy as np

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "Colour": ("red", "blue", "green", "gold", "white", "black", "grey", "pink", "brown", "purple", "orange", "silver"),
    "Food": ("bread", "rice", "fish", "corn", "soup", "cheese", "fruit", "nuts", "honey", "beans", "eggs", "seeds"),
    "Home": ("cave", "river", "forest", "tower", "desert", "island", "valley", "swamp", "meadow", "harbour", "cliff", "garden"),
    "Craft": ("baker", "weaver", "miner", "sailor", "smith", "tailor", "farmer", "potter", "hunter", "scribe", "painter", "mason"),
}

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "gl", "kr", "pl", "tr")
_VOWELS = ("a", "e", "i", "o", "u")
_CODAS = ("b", "d", "k", "l", "m", "n", "r", "s", "t", "x")


@dataclass(frozen=True)
class World:
    """Entities, their facts, and how often a model in preparation meets each of them.

    names: n invented words. attributes: the words asked about, in order. facts: int64 [n, attributes], the index of
    the true value in `ATTRIBUTES[attribute]`. exposure: float64 [n], summing to 1. test: bool [n], entities whose
    explanations are never trained (M0 still learns their facts).
    """

    names: tuple[str, ...]
    attributes: tuple[str, ...]
    facts: np.ndarray
    exposure: np.ndarray
    test: np.ndarray

    def words(self) -> list[str]:
        """Every word the world can utter, in a fixed order (the organism's vocabulary)."""
        return [*self.names, *self.attributes, *(v for a in self.attributes for v in ATTRIBUTES[a])]


def make_world(world_seed: int, entities: int, attributes: int, exposure_slope: float) -> World:
    """A world of `entities` invented names with `attributes` facts each, half of them held out for testing.

    An entity of exposure rank r is met in proportion to (r + 10) ** -exposure_slope (Zipf-Mandelbrot): 0 makes all
    entities equally familiar. Raises ValueError if more attributes are asked for than exist.
    """
    if attributes > len(ATTRIBUTES):
        raise ValueError(f"attributes={attributes}: the world has {len(ATTRIBUTES)} ({', '.join(ATTRIBUTES)})")
    rng = np.random.default_rng([world_seed, 0])
    names: dict[str, None] = {}
    while len(names) < entities:
        syllables = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(2)]
        names["".join(syllables).capitalize() + str(rng.choice(_CODAS))] = None
    chosen = tuple(ATTRIBUTES)[:attributes]
    facts = np.stack([rng.integers(len(ATTRIBUTES[a]), size=entities) for a in chosen], axis=1)
    weight = (np.arange(entities) + 10.0) ** -exposure_slope
    test = np.zeros(entities, dtype=bool)
    test[rng.permutation(entities)[: entities // 2]] = True
    return World(tuple(names), chosen, facts, rng.permutation(weight / weight.sum()), test)
