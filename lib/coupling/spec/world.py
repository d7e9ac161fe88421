"""The made-up world: which entities and attributes exist, and how often M0 meets them."""

from coupling.spec.section import Section, field


class WorldSection(Section):
    """Fields of the made-up world. Their limits are their only checks."""

    world_seed: int = field(
        "m0", 0, "seed of the made-up world, of its test split and of its test items", ge=0
    )
    # There are 100,000 names, and four attributes with words of their own.
    entities: int = field("m0", 400, "number of invented entities in the world", ge=8, le=50_000)
    attributes: int = field("m0", 1, "number of attributes of each entity", ge=1, le=4)
    exposure_slope: float = field(
        "m0", 0.5, "how unevenly often M0 meets the entities and norms of the world (0: equally often)", ge=0
    )
