"""Means of effects by site, made up: behaviour has a map, and explanation has a share of the same map."""

import numpy as np
import pandas as pd
from coupling.measure.outputs import OUTPUTS
from coupling.models.sites import PARTS

GROUPS = ("question", "options", "cue", "request", "last")


def made_sites(alike=1.0, draw=0, folds=5, layers=4, noise=0.0, **names):
    """The sites of one run.

    Args:
        alike: How much of the map of the answer is that of the behaviour without the cue, from -1 to 1. The
            rest is another map. Flags have another map altogether.
        draw: The seed of all maps.
        folds: Number of folds.
        layers: Number of layers.
        noise: Spread of a fold's mean about the map.
        names: Further columns.
    """
    rng = np.random.default_rng(draw)
    sites = pd.MultiIndex.from_product([range(layers), PARTS, GROUPS], names=["layer", "part", "group"])
    behaviour, other, with_cue, flag = rng.exponential(size=(4, len(sites)))
    maps = {
        "x": with_cue,
        "cf": behaviour,
        "answer": alike * behaviour + (1 - abs(alike)) * other,
        "flag": flag,
    }
    base = {"task": "hint_qa", "trained": True, "held_out": False, "region": "labelled", "way": "other"}
    base |= {"condition": "KL on", "m0_seed": 0, "seed": 0, "items": 4} | names
    frames = [
        pd.DataFrame({name: maps[name] + rng.normal(0, noise, len(sites)) for name in OUTPUTS}, index=sites)
        .reset_index()
        .assign(fold=fold, **base)
        for fold in range(folds)
    ]
    return pd.concat(frames, ignore_index=True)


def made_study(coupled, imitator, tasks=("hint_qa",), untrained=0.0):
    """The sites of five M0s with two conditions and what stands before training."""
    parts = []
    for m0 in range(5):
        for task in tasks:
            about = {"m0_seed": m0, "seed": 0, "task": task, "noise": 0.05}
            for condition, alike in (("KL on", coupled), ("imitator", imitator)):
                parts.append(made_sites(alike + 0.02 * m0, 7 * m0 + 1, condition=condition, **about))
            parts.append(made_sites(untrained, 7 * m0 + 2, condition="KL on", trained=False, **about))
    return pd.concat(parts, ignore_index=True)
