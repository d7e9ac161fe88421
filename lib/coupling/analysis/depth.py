"""Depth of knowledge within one M0: how often it met an entity while it was prepared."""

import pandas as pd

from coupling.errors import StudyError
from coupling.spec import make_spec
from coupling.sweep import read_sweep
from coupling.tasks import load_world


def with_depth(frame: pd.DataFrame, profile: str, sweep: str, parts: int) -> pd.DataFrame:
    """Add how deep the knowledge of M0 is about each row's entity.

    Args:
        frame: Rows with group (the entity), base_cf and gold.
        profile: Name of the profile.
        sweep: Name of the sweep, or the path of a YAML file. Its profile and values say which made-up world
            holds the entities. All M0s of a world meet them equally often.
        parts: How many parts of equal size the entities are split into.

    Returns:
        The rows with two more columns. depth (int64) ranks the entities that occur in `frame` by how often M0
        met them, from 0 for the part that M0 met least to parts - 1. knows (float64) is 1 where M0's answer
        without the cue is the gold answer and 0 where it is not; NaN without a gold answer. Rows whose group
        is no entity of the world are left out.

    Raises:
        StudyError: If no group is an entity of that world.
    """
    world = load_world(make_spec(profile, **read_sweep(sweep).at(profile).values))
    exposure = frame["group"].map(dict(zip(world.names, world.exposure, strict=True)))
    frame, exposure = frame[exposure.notna()], exposure.dropna()
    if frame.empty:
        raise StudyError(
            f"{profile}, {sweep}: no item is about an entity of the made-up world, so it has no depth"
        )
    rank = exposure.groupby(frame["group"]).first().rank(method="first", pct=True)
    depth = (frame["group"].map(rank) * parts - 1e-9).astype(
        int
    )  # the highest rank is 1 and must not open a new part
    knows = (frame["base_cf"] == frame["gold"]).astype(float).where(frame["gold"] >= 0)
    return frame.assign(depth=depth, knows=knows)
