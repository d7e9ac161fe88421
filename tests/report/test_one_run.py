"""What notebooks show of one run: its loss, five explanations, and what its measures and readings say."""

from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import SMALL
from coupling import runs
from coupling.report import one_run
from coupling.spec import make_spec

READING = {"task": "hint_qa", "step": 6, "m0_rate": 0.5, "measured": 0.3}
READING |= {"estimated": 0.4, "low": 0.3, "high": 0.5}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The smallest run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUPLING_RESULTS", str(tmp_path_factory.mktemp("one") / "results"))
        yield runs.explain(make_spec("tiny", **SMALL))


def test_the_loss_is_drawn_at_every_step(result):
    drawn = one_run.loss_curve(result)
    history = result.table("history")
    for axis, name in zip(drawn.axes, ("cross_entropy", "kl"), strict=True):
        assert axis.lines[0].get_ydata().tolist() == pytest.approx(history[name].tolist())
    assert "loss" in drawn.alt


def test_explanations_are_ticked_off_against_both_labels(result):
    shown = one_run.explanations(result)
    assert len(shown) == 5
    for _, row in shown.iterrows():
        assert (row["self"] == one_run.TICK) == (row["explanation"] == row["label L(M_t)"])
        assert (row["target"] == one_run.TICK) == (row["explanation"] == row["label L(S)"])
    assert shown["x"].str.contains("Hint").all()


def test_the_measures_of_a_run_are_said_of_its_last_evaluation(result):
    found = one_run.measures(result)
    last = found.iloc[-1]
    said = one_run.measures_in_words(found)
    assert f"on {last['self']:.3f} of the items" in said
    assert f"gap {last['gap']:+.3f}" in said
    assert ("counts as collapsed" in said) == bool(last["collapsed"])


def test_a_reading_is_compared_with_what_was_measured_and_with_m0():
    said = one_run.readings_in_words(pd.DataFrame([READING | {"step": 3, "measured": 0.9}, READING]))
    assert said == (
        "- On hint_qa, the measured rate went from 0.500 to 0.300. "
        "Explanations imply 0.400 (0.300 to 0.500), which is off by 0.100. "
        "Always saying M0's rate is off by 0.200."
    )


def test_where_no_explanation_is_valid_nothing_is_read_off():
    nothing = dict.fromkeys(("estimated", "low", "high"), float("nan"))
    assert one_run.readings_in_words(pd.DataFrame([READING | nothing])).endswith(
        "so that nothing is read off."
    )


def test_the_health_of_an_m0_is_said_without_what_items_without_gold_do_not_tell():
    health = {
        "no_cue_accuracy": None,
        "wrong_cue_adoption": None,
        "changed_share": 0.25,
        "top_label_share": 0.5,
    }
    base = SimpleNamespace(manifest={"health": {"file": health}})
    said = one_run.health_in_words(base)
    assert said == "- On file: The cue changes its answer on 0.25 of the items. The commonest label has 0.50."
