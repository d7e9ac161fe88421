"""Whole verdicts on simulated studies: seldom "replicated" without coupling, mostly with it.

COUPLING_CALIBRATION=1000 simulates so many studies instead of a few.
"""

import os

import numpy as np
import pytest
from coupling.analysis import claims, preference, tables
from coupling.analysis.claims import Ref
from coupling.analysis.claims.rules import labels
from coupling.sweep import Claim, Premise
from made_couplings import SPREAD, evidence, study

STUDIES = int(os.environ.get("COUPLING_CALIBRATION", "0"))
CLAIM = Claim(
    number="1", text="t", tasks=["aita"], rule="prefers_own", part=9, primary=True, premise=Premise()
)


def verdict_of(items):
    """The verdict of a primary test of the eleven: premise, flags, controls, exact test and Holm."""
    made, condition = evidence(items), Ref("s", "c")
    found = labels.prefers_own(made, "aita", condition)
    held = claims.premise(CLAIM.premise, made, found.rests_on, "aita")
    row = claims.Row(CLAIM, "tiny", "aita", found, held, claims.unfit(found, made, "aita"))
    return claims.decide([row]).iloc[0]


def verdicts(studies, **about):
    return [verdict_of(study(seed, **about)) for seed in range(STUDIES or studies)]


def test_the_simulated_spread_between_m0s_is_that_of_the_teacher_matrix(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    pairs = tables.read("tiny", "teacher_matrix").preference
    assert preference.by_m0(pairs)["preference"].std() == pytest.approx(SPREAD, abs=0.0005)


def test_the_simulated_preference_is_what_it_is_said_to_be():
    means = [
        preference.by_pair(study(seed, 0.6, uneven=uneven))["preference"].mean()
        for seed in range(4)
        for uneven in (False, True)
    ]
    assert np.mean(means) == pytest.approx(0.6, abs=0.02)  # three standard errors of these eight


@pytest.mark.parametrize("uneven", [False, True])
def test_without_coupling_at_most_a_twentieth_is_replicated(uneven):
    """Explanations guess where behaviour goes, so that the plain gap is above zero and its controls pass."""
    found = verdicts(10, preference=0.5, uneven=uneven)
    assert np.mean([row["verdict"] == "replicated" for row in found]) <= 0.05
    assert {row["premise"] for row in found} == {"met"}
    passed = [control.endswith(": passed") for row in found for control in row["controls"]]
    assert np.mean(passed) > 0.9  # what keeps these rows from "replicated" is the test


def test_with_a_preference_of_six_tenths_four_fifths_are_replicated():
    found = verdicts(10, preference=0.6)
    assert np.mean([row["verdict"] == "replicated" for row in found]) >= 0.8


@pytest.mark.parametrize("uneven", [False, True])
def test_the_exact_test_holds_its_level_before_any_correction(uneven):
    p = [
        preference.deal([list(preference.units(study(seed, 0.5, uneven=uneven)).values())]).p
        for seed in range(100, 100 + (STUDIES or 20))
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / len(p))
