"""Who moves from one evaluation to the next, by hand."""

import pandas as pd
import pytest
from coupling.analysis.lead_lag import lead_lag
from made_rows import make_rows


@pytest.fixture
def four(items):
    return items[1][:4]


def test_lead_and_lag_by_hand(four):
    then = ([0] * 4, [0] * 4)
    before = make_rows(four, ["changes to B"] * 4, ([0] * 4, [0, 0, 0, 1]), then).assign(step=0)
    after = make_rows(
        four, ["changes to B", "stays at A", "stays at A", "changes to B"], ([0] * 4, [1, 0, 0, 1]), then
    ).assign(step=1)
    row = lead_lag(
        pd.concat([before, after], ignore_index=True).assign(condition="c", m0_seed=0, seed=0)
    ).iloc[0]
    assert row["items"] == 3  # the fourth explanation was right already
    assert row["behaviour_follows"] == pytest.approx(1 / 3)
    assert row["explanation_follows"] == pytest.approx(2 / 3)


def test_lead_and_lag_on_divergent_items_by_hand(four):
    then = ([0] * 4, [0] * 4)
    # All four items changed. Two explanations keep to L(S), one states the behaviour, one a third label.
    before = make_rows(
        four, ["stays at A", "stays at A", "changes to B", "changes to C"], ([0] * 4, [1] * 4), then
    ).assign(step=0)
    after = make_rows(
        four, ["changes to B", "stays at A", "changes to B", "changes to B"], ([0] * 4, [1, 0, 0, 2]), then
    ).assign(step=1)
    row = lead_lag(
        pd.concat([before, after], ignore_index=True).assign(condition="c", m0_seed=0, seed=0)
    ).iloc[0]
    assert (row["items"], row["items_divergent"]) == (3, 3)
    assert row["explanation_follows_divergent"] == pytest.approx(2 / 3)
    assert row["behaviour_follows_divergent"] == pytest.approx(2 / 3)
    assert (row["returns_said"], row["returns_unsaid"]) == (0.5, 1.0)


def test_an_item_without_a_label_is_left_out(four):
    then = ([0] * 4, [0] * 4)
    # Two replies are no choice. The other two items are divergent, and their explanations keep to L(S).
    before = make_rows(four, ["stays at A"] * 4, ([0] * 4, [1] * 4), then).assign(step=0)
    before.loc[:1, "x"] = -1
    after = make_rows(four, ["changes to B"] * 4, ([0] * 4, [1] * 4), then).assign(step=1)
    frame = pd.concat([before, after], ignore_index=True).assign(condition="c", m0_seed=0, seed=0)
    row = lead_lag(frame).iloc[0]
    assert (row["items"], row["items_divergent"]) == (2, 2)
    assert row["explanation_follows_divergent"] == 1.0


def test_a_pair_of_evaluations_is_over_the_items_that_both_asked(four):
    then = ([0] * 4, [0] * 4)
    before = make_rows(four, ["changes to B", "nonsense", "changes to B", "changes to B"], then, then)
    after = make_rows(four[:2], ["stays at A"] * 2, ([0] * 2, [0] * 2), ([0] * 2, [0] * 2))
    frame = pd.concat([before.assign(step=0), after.assign(step=1)], ignore_index=True)
    row = lead_lag(frame.assign(condition="c", m0_seed=0, seed=0)).iloc[0]
    assert (row["items"], row["explanation_follows"]) == (
        1,
        1.0,
    )  # an explanation that is no label says nothing
