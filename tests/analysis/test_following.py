"""Following: what explanations know of a push, told from drift and a changed prior, on tables by hand."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import following, tracking
from made_shifts import kinds_study, shift_rows

# Eight items of two runs. Without the cue all say 1, and the cue proposes 0. So a push down asks for "stays
# at 1" and a push up for "changes to 1". What M0 does, what the run does and says, and the other run.
BASE = [0, 0, 1, 0, 0, 1, 0, 0]
X, SAID = [1, 1, 1, 0, 0, 0, 1, 1], [1, 0, 1, 1, 0, 0, 1, 1]
OTHER_X, OTHER_SAID = [0, 0, 0, 0, 0, 1, 1, -1], [0, 1, 0, 0, 0, 0, 0, 1]


def by_hand(x, said, base=BASE, **about):
    """Rows of one run. Choice 0 on x is "changes to 1", and choice 1 is "stays at 1"."""
    rows = shift_rows("any", np.ones(200, int), np.ones(200, int), **about).iloc[: len(x)].copy()
    rows["x"], rows["base_x"], rows["changes"] = x, base[: len(x)], 1 - np.array(said)
    return tracking.described(rows)


def known(found, name):
    return found[name].dropna().to_dict()


def test_flipped_taken_and_spared_items_by_hand():
    own = by_hand(X, SAID, objective="sycophancy", direction="down")
    found = following.compared(own, by_hand(OTHER_X, OTHER_SAID))
    assert known(found, "flipped") == {0: 1, 1: 1, 2: 1, 3: 0, 4: 0, 5: 1, 6: 0}  # of item 7 one has no label
    assert known(found, "flipped_own") == {0: 1, 1: 0, 2: 1, 5: 1}
    assert known(found, "flipped_other") == {0: 0, 1: 1, 2: 0, 5: 1}
    # Item 2 is no longer taken: what the push asks for is what M0 does, and the other run has left it.
    assert known(found, "taken_gain") == {0: 1, 1: -1}
    # Both runs kept to "changes to 1" on items 3 and 4. Of item 3 the explanation says that it stays.
    assert known(found, "spared_gain") == {3: 1, 4: 0}
    up = following.compared(own.assign(direction="up"), by_hand(OTHER_X, OTHER_SAID))
    assert known(up, "taken_gain") == {5: 0}
    nothing = following.compared(own.assign(direction=""), by_hand(OTHER_X, OTHER_SAID))
    assert nothing[["taken_gain", "spared_gain"]].isna().all(axis=None)


def test_answer_and_flag_are_compared_each_where_it_flipped():
    own, other = by_hand(X, SAID), by_hand(OTHER_X, OTHER_SAID)
    own.loc[3, ["x", "cf", "answer", "changes"]] = [1, 0, 0, 0]  # the answer flips, and the flag does not
    found = following.compared(own, other)
    assert known(found, "answer_gain") == {3: 1}
    assert known(found, "flag_gain") == {0: 1, 1: -1, 2: 1, 5: 0}


def test_of_requests_a_push_asks_for_help_or_for_a_refusal():
    rows = pd.DataFrame({"task": "refusal", "base_cf": [0, 1, -1], "hinted": [1, -1, 0], "direction": "down"})
    assert following.wanted_code(rows).tolist() == [0, 3, -3]
    assert following.wanted_code(rows.assign(direction="up")).tolist() == [1, 2, -3]
    cues = rows.assign(task="hint_qa", direction="up")
    assert following.wanted_code(cues).tolist() == [1, -3, -3]


def test_re_taught_facts_are_taken_where_the_new_answer_stands_and_spared_where_the_old_one_does():
    own = by_hand([1] * 8, [1] * 8, objective="reteach").assign(retaught=1)
    own["new_gold"] = [0, 0, -1, 1, 0, 0, 0, 0]
    own["answer"] = [0, 1, 0, 0, 0, 0, 0, 0]
    own.loc[4, ["x", "cf"]] = 0
    own.loc[5, "base_cf"] = 0  # M0 says the new fact already
    other = by_hand([1] * 8, [1] * 8)
    own.loc[[6, 7], "x"] = 0  # the flag differs between the runs, which plays no part
    own.loc[7, "cf"], other.loc[7, "cf"] = 0, 0  # both have the new answer
    found = following.compared(own, other)
    assert known(found, "spared_gain") == {0: 1, 1: 0, 6: 1}
    assert known(found, "taken_gain") == {4: 1}


def measured(**values):
    return tracking.measured(kinds_study(**values)).query("direction != ''")


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ({"knows": True}, 1.0, 1.0),
        ({"knows": False}, 0.0, 0.0),
        ({"knows": False, "prior": 1.0}, 0.0, 0.0),
        ({"knows": False, "prior": 0.4}, -0.2, 0.2),
        ({"knows": False, "prior": 1.0, "everywhere": True}, -1.0, -1.0),
    ],
)
def test_following_is_there_where_explanations_know_and_not_where_their_prior_has_changed(values, low, high):
    found = following.following(measured(**values))
    assert len(found) == 2  # an M0 and a task, pushed down and up
    assert found["following"].between(low, high).all()
    if values.get("prior") == 1.0:  # what was taken is stated, and so is what was spared
        assert (found["taken"] == 1).all()
        assert (found["spared"] == 1).all()


def test_explanations_that_state_drift_as_well_follow_and_do_not_go_beyond_drift():
    drifting = following.following(measured(knows=True))
    assert (drifting["flipped_elsewhere"] == 1).all()
    assert (drifting["following"] == 1).all()
    assert (drifting["beyond_drift"] == 0).all()
    still = following.following(measured(knows=True, drifts=False))
    assert (still["following"] == 1).all()
    assert still["beyond_drift"].isna().all()  # nothing flipped on the other kinds


def test_rows_and_tables_give_the_same_following():
    rows = measured(knows=True, m0_seeds=(0, 1))
    by_table = following.following(tracking.per_run(rows))
    pd.testing.assert_frame_equal(following.following(rows), by_table)


def test_drift_compares_each_seed_with_the_next():
    study = tracking.measured(kinds_study(knows=True, seeds=(0, 1, 2)))
    plain = study[study["condition"] == "none"].reset_index(drop=True)
    first = (plain["seed"] == 0) & (plain["id"] == "i0")
    plain.loc[first, "x"] = 1 - plain.loc[first, "x"]
    found = following.drift(plain)
    assert len(found) == len(plain)
    # The item of seed 0 differs from that of seed 1, and that of seed 2 from it.
    assert found.loc[found["flipped"] == 1, ["seed", "id"]].to_numpy().tolist() == [[0, "i0"], [2, "i0"]]
    assert following.drift(plain[plain["seed"] == 0]).empty


def test_of_facts_nothing_is_asked_elsewhere_and_following_has_a_value():
    rows = measured(knows=True).assign(objective="reteach")
    told = rows.assign(spared_gain=rows["spared_gain"].where(rows["pushed"].astype(bool)))
    found = following.following(told)
    assert (found["spared_elsewhere"] == 0).all()
    assert found["following"].to_list() == pytest.approx((found["taken"] - found["spared"]).to_list())
    assert following.following(told.assign(objective="sycophancy"))["following"].isna().all()
