"""Simulated explainers that know their own behaviour to a given degree, or not at all."""

import numpy as np
import pandas as pd
from coupling.analysis import measures, summaries, tables
from coupling.analysis.claims import Evidence

ITEMS, GROUPS = 600, 40
PRONE = 0.3  # share of items on which runs leave L(S) at all
S = 0  # the label source's choice everywhere; behaviour that leaves goes to choice 1, now and then to 2
# How far M0s differ in preference: the standard deviation of M0 means of the committed teacher matrix.
SPREAD = 0.0225


def explainers(rng, knows, drift, guess, condition="c", m0_seed=0):
    """Rows of the explainers of one M0.

    Every explanation either states the run's own behaviour, or is a guess that knows nothing of the run: on
    items on which runs never leave it states L(S), on others L(S) or where behaviour mostly goes.

    Args:
        rng: Random numbers.
        knows: How often explanations state their own behaviour. Below zero: that of a run that behaves
            otherwise.
        drift: How often each run leaves L(S) where runs do.
        guess: How often the guesses of each run are L(S) there.
        condition: Name of the condition.
        m0_seed: The M0 seed.
    """
    prone = rng.random(ITEMS) < PRONE
    goes = np.where(rng.random(ITEMS) < 0.85, 1, 2)
    parts = []
    for seed, (leaves, guesses) in enumerate(zip(drift, guess, strict=True)):
        own = np.where(prone & (rng.random(ITEMS) < leaves), goes, S)
        guessed = np.where(prone & (rng.random(ITEMS) >= guesses), goes, S)
        guessed = np.where(rng.random(ITEMS) < 0.04, 3, guessed)
        other = np.where(own == S, goes, S)
        stated = np.where(rng.random(ITEMS) < abs(knows), own if knows > 0 else other, guessed)
        stated = np.where(prone, stated, guessed)
        parts.append(_rows(own, stated).assign(condition=condition, m0_seed=m0_seed, seed=seed))
    return pd.concat(parts, ignore_index=True)


def _rows(own, stated):
    """Final rows of one run that chooses `own` and whose explanations state `stated`."""
    frame = pd.DataFrame(
        {
            "task": "aita",
            "step": 600,
            "id": [f"i{k}" for k in range(ITEMS)],
            "group": [f"g{k % GROUPS}" for k in range(ITEMS)],
            "kind": "k",
            "text": stated.astype(str),
            "valid": True,
            # One half of the labels says "changes", so that there is a flag to learn.
            "changes": np.arange(ITEMS) % 2,
            "answer": stated,
            "gold": -1,
            "cf": own,
            "target_cf": S,
            "base_cf": S,
            **dict.fromkeys(("mass_x", "mass_cf"), 1.0),
            **dict.fromkeys(("kl_x", "kl_cf"), 0.0),
        }
    )
    for name, prefix in (("self", ""), ("target", "target_"), ("base", "base_")):
        choice = frame[f"{prefix}cf"]
        frame[f"{prefix}x"] = np.where(np.arange(ITEMS) % 2, (choice + 1) % 4, choice)
        frame[name] = measures.stated_code(frame) == measures.label_code(frame, prefix)
    return frame


def study(seed, preference, m0s=5, runs=3, uneven=False):
    """Rows of some M0s with explainers each, whose mean preference is given.

    Args:
        seed: Seed of the random numbers.
        preference: The mean preference. Each M0 has one of its own, spread as in the teacher matrix.
        m0s: How many M0s.
        runs: How many explainers of each.
        uneven: Whether runs differ in how far they drift and how well they imitate. Otherwise they differ in
            random numbers alone, and M0s in preference.
    """
    parts = []
    for m in range(m0s):
        rng = np.random.default_rng([seed, m])
        own = preference + (0.0 if uneven else rng.normal(0, SPREAD))
        drift = rng.uniform(0.1, 0.5, runs) if uneven else np.full(runs, 0.3)
        guess = rng.uniform(0.2, 0.5, runs) if uneven else np.full(runs, 0.35)
        parts.append(explainers(rng, 2 * (own - 0.5), drift, guess, m0_seed=m))
    return pd.concat(parts, ignore_index=True)


def evidence(items):
    """The tables of such a study, as far as rules on preference read them."""
    runs = summaries.per_run(measures.with_measures(items)).assign(task="aita")
    base = pd.DataFrame({"m0_seed": items["m0_seed"].unique(), "task": "aita", "flips_x": 0.0})
    empty = dict.fromkeys(tables.Tables.__dataclass_fields__)
    made = tables.Tables(**(empty | {"items": items, "runs": runs, "base": base}))
    return Evidence("tiny", lambda profile, sweep: made)
