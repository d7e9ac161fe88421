"""Final rows of made-up runs whose behaviour was pushed down, not at all, or up."""

import numpy as np
import pandas as pd
from coupling.analysis import measures

ITEMS = 200
BASE_X = (
    np.arange(ITEMS) % 2
)  # M0 follows the cue, which proposes choice 0, on every second item; else it says 1
NO_SHIFT = {
    "objective": "none",
    "direction": "",
    "strength": 0.0,
    "order": "",
    "replay": 0.0,
    "explained": True,
    "relabelled": False,
}


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
