"""Rows of one evaluation, by hand."""

import numpy as np
import pytest
from coupling.measure.rows import score
from made_rows import choosing, make_rows


@pytest.fixture
def four(items):
    return items[1][:4]


def test_rows_by_hand(four):
    rows = make_rows(
        four,
        ["stays at A", "changes to B", "changes to B ", "who knows"],
        ([0, 0, 0, 0], [0, 1, 2, 3]),
        ([0, 0, 0, 0], [0, 0, 1, 3]),
    )
    assert rows["self"].tolist() == [True, True, False, False]
    assert rows["target"].tolist() == [True, False, True, False]
    assert rows["target"].equals(rows["base"])
    assert rows["valid"].tolist() == [True, True, True, False]
    assert rows["answer"].tolist() == [0, 1, 1, -1]
    assert rows["self_content"].tolist() == [True, True, False, False]
    assert np.allclose(rows["kl_cf"][[0, 3]], 0, atol=1e-6)
    assert (rows["kl_cf"][[1, 2]] > 0.5).all()


def test_content_matches_where_the_wording_of_the_change_does_not(four):
    rows = make_rows(four, ["changes to A"] * 4, ([0] * 4, [0] * 4), ([0] * 4, [0] * 4))
    assert not rows["self"].any()
    assert rows["self_content"].all()


def test_behaviours_of_other_items_are_refused(four, items):
    other = choosing(items[1][4:8], [0] * 4, [0] * 4)
    with pytest.raises(ValueError, match="same items"):
        score(four, ["x"] * 4, "letter", other, other, other, 0)
