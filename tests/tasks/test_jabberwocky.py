"""Nonsense creatures: no single feature decides, and marks matter for half of them."""

import numpy as np
import pytest
from coupling.spec import make_spec
from coupling.tasks import jabberwocky, load_taught


def test_no_single_feature_sorts_a_creature_and_marks_matter_for_half():
    items, test = load_taught(make_spec("tiny", teach="jabberwocky"))
    assert not {i.group for i in items} & {i.group for i in test}
    assert np.mean([i.gold != i.hinted for i in items]) == pytest.approx(0.5, abs=0.03)
    for k in range(3):
        has = np.array([jabberwocky.FEATURES[k][1] in i.prompt for i in items])
        assert np.mean(has == np.array([i.gold for i in items])) == pytest.approx(0.75, abs=0.02)
    assert load_taught(make_spec("tiny")) == ([], [])


def test_no_kind_of_what_is_taught_is_held_out():
    spec = make_spec("tiny", attributes=2, teach="jabberwocky", held_out=0.5)
    assert {i.kind for i in load_taught(spec)[0]} == set(jabberwocky.MARKS)


@pytest.mark.parametrize(
    ("features", "mark", "sort"),
    [
        ((0, 1, 1), None, 1),
        ((1, 0, 0), None, 0),
        ((0, 1, 1), 0, 0),
        ((0, 1, 1), 1, 1),
        ((1, 0, 0), 3, 1),
        ((1, 0, 0), 2, 0),
    ],
)
def test_two_features_of_three_make_the_sort_and_a_mark_that_goes_with_the_first_turns_it(
    features, mark, sort
):
    assert jabberwocky.sort_of(features, mark) == sort
