"""The rules of claims about shifts, over made-up runs."""

import numpy as np
import pandas as pd
import pytest
from coupling.analysis import claims, tables, tracking
from coupling.analysis.claims import evidence, followed
from made_shifts import ITEMS, shift_study


def test_rows_of_the_second_part_leave_the_first_part_as_it_was(monkeypatch):
    def finding(p):
        return evidence.Finding("m", evidence.Effect(0.02, 0.01, 0.03, p, 5), {"a": True})

    made = [
        claims.Claim("1", "first", "", lambda _: finding(0.03)),
        claims.Claim("5", "second", "", lambda _: finding(0.03), 2),
    ]
    monkeypatch.setattr(tables, "collected", lambda: [("tiny", "headline")])
    monkeypatch.setattr(
        claims,
        "_claims",
        lambda: [*made, claims.Claim("5", "third (post hoc)", "", lambda _: finding(0.03), 2)],
    )
    assert claims.table()["p"].tolist() == pytest.approx([0.03, 0.06, 0.09])


class Known:
    """Evidence of made-up runs."""

    profile = "tiny"

    def __init__(self, follow):
        self.frame = pd.concat([shift_study(follow, m) for m in range(5)], ignore_index=True)

    def shifted(self, task):
        return tracking.measured(self.frame)

    def table(self, name, sweep, **where):
        if name == "items":
            return self.frame
        read = tracking.estimates(self.frame)
        return read[np.logical_and.reduce([read[k] == v for k, v in where.items()])]

    def finals(self, sweep, task, condition):
        return tracking.per_run(self.shifted(task))[lambda f: f["condition"] == condition]

    def collapsed(self, sweep, task, condition):
        return 0.0


@pytest.mark.parametrize("follow", [True, False])
def test_claims_of_shifts_tell_following_from_keeping(follow):
    e = Known(follow)
    for direction in ("up", "down"):
        found = followed.follows(e, "aita", direction)
        assert found.effect.above == follow
        assert found.controls["gap above zero"] == follow
        assert found.controls["behaviour shifted by more than 0.1"]
        assert followed.follows_plainly(e, "aita", direction).effect.above == follow
    assert followed.share_said(e, "aita").effect.value == pytest.approx(1.0 if follow else 0.0)
    gained = followed.senses(e, "aita")
    assert gained.effect.value == pytest.approx(0.5 if follow else 0.0)
    assert gained.controls == {
        "without a shift no further off than 0.05": True,
        "says more after up than after down, in each M0": follow,
    }


def test_a_shift_counts_from_a_tenth_on_and_in_its_own_direction():
    frame = tracking.measured(Known(True).frame)
    up, none = (frame[frame["condition"] == c] for c in ("up, 1", "none"))
    assert followed._moved(up, 1)
    assert not followed._moved(up, -1)
    assert not followed._moved(none, 1)
    part = up.assign(
        rate=np.where(np.arange(len(up)) % ITEMS < ITEMS * 0.1, up["rate"], up["m0_rate"])
    )  # a tenth of the shift of one half
    assert not followed._moved(part, 1)
