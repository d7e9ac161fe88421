"""Depth of knowledge within an M0: how often it met an entity while it was prepared."""

import pandas as pd

from coupling.spec import make_spec
from coupling.tasks import load_world


def with_depth(frame: pd.DataFrame, profile: str, parts: int) -> pd.DataFrame:
    """The rows with depth, from 0 (the entities that M0 met least) to parts - 1: the entities asked about, ranked by exposure, in as many
    equal parts. knows: M0's answer without the cue is the gold one. Rows of groups that the made-up world of the profile lacks are left out."""
    world = load_world(make_spec(profile))
    exposure = frame["group"].map(dict(zip(world.names, world.exposure, strict=True)))
    frame, exposure = frame[exposure.notna()], exposure.dropna()
    rank = exposure.groupby(frame["group"]).first().rank(method="first", pct=True)
    depth = (frame["group"].map(rank) * parts - 1e-9).astype(int)
    return frame.assign(
        depth=depth, knows=(frame["base_cf"] == frame["gold"]).astype(float).where(frame["gold"] >= 0)
    )
