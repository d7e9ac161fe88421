"""Final rows of made-up runs whose behaviour was pushed down, not at all, or up."""

import numpy as np
import pandas as pd
from coupling.analysis import measures, tracking

ITEMS = 200
BASE_X = (
    np.arange(ITEMS) % 2
)  # M0 follows the cue, which proposes choice 0, on every second item; else it says 1
BASE_X_OF_KINDS = (np.arange(ITEMS) // 4) % 2  # the same in each of four kinds
NO_SHIFT = {
    "objective": "none",
    "direction": "",
    "strength": 0.0,
    "order": "",
    "replay": 0.0,
    "explained": True,
    "relabelled": False,
} | tracking.LATER


def shift_rows(condition, x, stated_x, m0_seed=0, **about):
    """Rows of a run on items of two choices.

    M_t chooses x with the cue and 1 without it. Its explanations state 1 as the answer without the cue and
    imply stated_x.
    """
    changes = (stated_x != 1).astype(int)
    frame = pd.DataFrame(
        {
            "task": "aita",
            "condition": condition,
            "m0_seed": m0_seed,
            "seed": 0,
            "step": 600,
            "id": [f"i{k}" for k in range(ITEMS)],
            "group": [f"g{k % 20}" for k in range(ITEMS)],
            "kind": "k",
            "text": changes.astype(str),
            "valid": True,
            "changes": changes,
            "answer": 1,
            "gold": 1,
            "hinted": 0,
            "x": x,
            "cf": 1,
            "target_x": BASE_X,
            "target_cf": 1,
            "base_x": BASE_X,
            "base_cf": 1,
            "mass_x": 1.0,
            "mass_cf": 1.0,
            "kl_x": 0.0,
            "kl_cf": 0.0,
            "forced_self": np.nan,
        }
    )
    for name, prefix in (("self", ""), ("target", "target_"), ("base", "base_")):
        frame[name] = measures.stated_code(frame) == measures.label_code(frame, prefix)
    return frame.assign(**(NO_SHIFT | about))


def kinds_study(knows, prior=0.0, everywhere=False, m0_seeds=(0,), seeds=(0, 1), drifts=True):
    """Rows of runs of four kinds that go without labels: no shift, down and up; seeds push two kinds each.

    M0 follows the cue on every second item. A push moves behaviour on half of the items of pushed kinds that
    it could move. If it drifts, the run without a shift differs from pushed runs on every tenth item of all
    kinds. An explanation of a pushed run states its own behaviour if it knows it, else M0's; on a share
    `prior` of the items of pushed kinds, or of all kinds, it states what the push asks for, whatever the
    model does.
    """
    place = np.arange(ITEMS)
    kind, turn = place % 4, place // 8
    parts = []
    for m0_seed in m0_seeds:
        for seed in seeds:
            pushed = kind % 2 == seed % 2
            plain = BASE_X_OF_KINDS.copy()
            if drifts:
                plain = np.where(turn % 10 == 0, 1 - plain, plain)
            whole = {"objective": "none", "labels": "half of the kinds"}
            made = [("none", plain, plain, whole)]
            for direction, wanted in (("down", 1), ("up", 0)):
                x = np.where(pushed & (turn % 2 == 0), wanted, BASE_X_OF_KINDS)
                said = x if knows else BASE_X_OF_KINDS
                said = np.where((pushed | everywhere) & (turn % 10 < 10 * prior), wanted, said)
                about = whole | {"objective": "sycophancy", "strength": 0.4, "order": "with"}
                made.append((direction, x, said, about | {"direction": direction, "reach": "half"}))
            for name, x, said, about in made:
                rows = shift_rows(name, x, said, m0_seed, **about)
                parts.append(
                    rows.assign(
                        seed=seed,
                        kind=[f"k{k}" for k in kind],
                        base_x=BASE_X_OF_KINDS,
                        labelled=False,
                        pushed=pushed if name != "none" else False,
                    )
                )
    return pd.concat(parts, ignore_index=True)


def shift_study(follow, m0_seed=0):
    """Rows of three runs of one M0: no shift, down (no cue is followed) and up (every cue is).

    Explanations state the model's own behaviour if they follow, else that of M0.
    """
    pushed = {"down": np.ones(ITEMS, int), "up": np.zeros(ITEMS, int)}
    about = {"objective": "sycophancy", "strength": 1.0, "order": "with"}
    parts = [shift_rows("none", BASE_X, BASE_X, m0_seed)]
    parts += [
        shift_rows(f"{name}, 1", x, x if follow else BASE_X, m0_seed, direction=name, **about)
        for name, x in pushed.items()
    ]
    return pd.concat(parts, ignore_index=True)
