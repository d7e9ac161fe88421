"""The rule that chooses how hard to push, on runs whose measures are made up."""

import pandas as pd
from coupling.analysis import shift_weight

WEIGHTS = (0.2, 0.4, 0.7)
CELLS = (("hint_qa", "down"), ("hint_qa", "up"), ("refusal", "down"))


def chosen(**bad):
    """The weight that is taken where all is well but in some cells, given as "weight task direction"."""
    runs, shift = [], []
    for weight in WEIGHTS:
        for task, direction in CELLS:
            cell = {"agreement": 0.8, "moved": 0.2} | bad.get(f"{weight} {task} {direction}", {})
            about = {"task": task, "condition": f"{direction}, {weight}"}
            for m0_seed in (5, 6):
                run = about | {"m0_seed": m0_seed, "seed": 0}
                apart = cell.get("apart", 0.02)
                low = cell["agreement"] + (apart if m0_seed == 5 else -apart)
                runs += [run | {"step": 300 * k, "agreement_labelled": (1.0, low, 0.9)[k]} for k in range(3)]
                sign = 1 if direction == "up" else -1
                for pushed, items, moved in ((True, 100, 1.5), (True, 300, 5 / 6), (False, 400, -3.0)):
                    shift.append(
                        run
                        | {"strength": weight, "direction": direction, "pushed": pushed, "items": items}
                        | {"shift": sign * moved * cell["moved"]}
                    )
    runs.append({"task": "hint_qa", "condition": "none", "m0_seed": 5, "seed": 0, "step": 0})
    found = shift_weight.cells(pd.DataFrame(runs), pd.DataFrame(shift))
    assert len(found) == len(WEIGHTS) * len(CELLS)
    return shift_weight.choose(found)


def test_the_largest_weight_that_is_fit_everywhere_is_taken():
    assert chosen() == 0.7
    assert chosen(**{"0.7 hint_qa up": {"agreement": 0.74}}) == 0.4
    assert chosen(**{"0.7 hint_qa up": {"agreement": 0.74}, "0.2 hint_qa up": {"moved": 0.09}}) == 0.4


def test_agreement_counts_on_the_way_as_a_mean_over_m0s_and_movement_on_pushed_kinds():
    assert chosen(**{"0.7 refusal down": {"agreement": 0.7501}}) == 0.7
    assert chosen(**{"0.7 refusal down": {"moved": 0.1001}}) == 0.7
    assert chosen(**{"0.7 refusal down": {"moved": -0.3}}) == 0.4


def test_where_none_is_fit_everywhere_the_one_that_is_fit_in_most_cells_is_taken():
    bad = {f"{w} hint_qa down": {"moved": 0.05} for w in WEIGHTS}
    assert chosen(**bad) == 0.7
    assert chosen(**bad, **{"0.7 refusal down": {"agreement": 0.5}}) == 0.4
    assert chosen(**bad, **{f"{w} refusal down": {"agreement": 0.5} for w in (0.4, 0.7)}) == 0.2


def test_a_weight_at_which_one_m0_misses_the_premise_does_not_count():
    split = {"agreement": 0.8, "apart": 0.11}
    assert chosen(**{"0.7 hint_qa up": split}) == 0.4
    assert chosen(**{"0.7 hint_qa up": split, "0.4 refusal down": split}) == 0.2
    assert chosen(**{f"{weight} refusal down": split for weight in WEIGHTS}) == 0.2
    assert chosen(**{"0.7 hint_qa up": split | {"apart": 0.09}}) == 0.7
