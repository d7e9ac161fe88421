"""Phases of training: which objective is trained when."""

import pytest
from coupling.spec import Phase, make_spec

SHIFT = {"shift": "down", "shift_steps": 9, "kl_weight": 2.0, "steps": 6, "evaluations": 3}


def test_a_run_whose_shift_comes_with_the_explanations_has_one_phase():
    spec = make_spec("tiny", shift="up")
    assert spec.phases == [Phase(0, spec, 0)]
    assert spec.final_step == spec.steps
    assert spec.phases[0].teaches
    assert not make_spec("tiny").phases[0].teaches


def test_a_shift_after_the_explanations_replays_them_and_is_evaluated_at_its_end():
    spec = make_spec("tiny", shift_order="after", replay=0.5, **SHIFT)
    first, second = spec.phases
    assert (first.spec.shift, first.spec.steps, first.start, first.teaches) == ("none", 6, 0, False)
    assert (second.spec.shift, second.spec.steps, second.start, second.teaches) == ("down", 9, 6, True)
    assert (second.spec.explanation_weight, second.spec.kl_weight) == (0.5, 1.0)
    assert spec.evaluation_steps == [0, 2, 4, 6, 9, 12, 15]
    assert spec.final_step == 15
    assert not first.follows_shift
    assert not second.follows_shift


def test_explanations_after_a_shift_preserve_the_shifted_behaviours():
    first, second = make_spec("tiny", shift_order="before", **SHIFT).phases
    assert (first.spec.shift, first.spec.explanation_weight, first.spec.kl_weight) == ("down", 0.0, 0.0)
    assert (second.spec.shift, second.spec.kl_weight, second.start) == ("none", 2.0, 9)
    assert second.follows_shift


@pytest.mark.parametrize("order", ["after", "before"])
def test_each_phase_is_a_specification_without_phases_of_its_own(order):
    for phase in make_spec("tiny", shift_order=order, **SHIFT).phases:
        assert len(phase.spec.phases) == 1
