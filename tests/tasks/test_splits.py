"""What training and test items are drawn by, and what they must not share."""

from dataclasses import replace

import numpy as np
import pytest
from coupling.spec import make_spec
from coupling.tasks.items import Item, TaskError
from coupling.tasks.splits import balanced, check_splits, dealt_in_half, held_out_kinds, parts


def test_the_test_part_does_not_depend_on_the_explainer():
    a, b = (parts(make_spec("tiny", seed=s, train_items=5, test_items=8)) for s in (0, 1))
    assert [(p.name, p.size) for p in a] == [("train", 5), ("test", 8)]
    assert [x.rng.integers(10**9) == y.rng.integers(10**9) for x, y in zip(a, b, strict=True)] == [
        False,
        True,
    ]


def test_explainers_can_share_their_training_items():
    own, shared = (
        [parts(make_spec("tiny", seed=s, items_seed=k))[0].rng.integers(10**9) for s in (0, 1)]
        for k in (-1, 0)
    )
    assert own[0] != own[1]
    assert shared == [own[0]] * 2


def test_halves_are_disjoint_and_the_worlds():
    spec = make_spec("tiny")
    half = dealt_in_half(9, spec)
    assert (len(half["train"]), len(half["test"])) == (5, 4)
    assert sorted([*half["train"], *half["test"]]) == list(range(9))
    other = dealt_in_half(9, spec.model_copy(update={"world_seed": 1, "seed": 1}))
    assert half["test"].tolist() != other["test"].tolist()
    same = dealt_in_half(9, spec.model_copy(update={"seed": 1}))
    assert half["test"].tolist() == same["test"].tolist()


def test_the_share_of_kinds_that_is_held_out_is_the_worlds():
    kinds = list("abcdefgh") * 2
    spec = make_spec("tiny").model_copy(update={"held_out": 0.25})
    closed = held_out_kinds(kinds, spec)
    assert len(closed) == 2
    assert closed == held_out_kinds(reversed(kinds), spec.model_copy(update={"seed": 3}))
    seeds = [spec.model_copy(update={"world_seed": s}) for s in range(1, 9)]
    assert any(closed != held_out_kinds(kinds, s) for s in seeds)


@pytest.mark.parametrize(("share", "count"), [(0.2, 0), (0.9, 2)])
def test_a_share_that_holds_out_no_kind_or_all_of_them_is_refused(share, count):
    spec = make_spec("tiny").model_copy(update={"held_out": share})
    with pytest.raises(
        TaskError, match=rf"held_out={share}: of 2 kinds \(a, b\) this holds out {count}; give"
    ):
        held_out_kinds("ab", spec)
    assert held_out_kinds("a", spec.model_copy(update={"held_out": 0.0})) == set()


def test_balanced_draws_differ_by_one_at_the_most():
    counts = np.bincount(balanced(np.random.default_rng(0), 10, 4))
    assert sorted(counts.tolist()) == [2, 2, 3, 3]


def test_splits_that_share_a_group_or_an_id_are_refused():
    item = Item("1", "t", "g", "x c", "x", ("A", "B"), ("A", "B"), " c")
    check_splits([item], [replace(item, id="2", group="h")])
    with pytest.raises(TaskError, match="1 groups stand in training and in test, for instance 'g'"):
        check_splits([item], [replace(item, id="2")])
    with pytest.raises(TaskError, match="1 item ids stand in training and in test, for instance '1'"):
        check_splits([item], [replace(item, group="h")])
