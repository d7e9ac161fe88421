"""The rule that chooses the setting for confirmation, on runs whose measures are made up."""

from types import SimpleNamespace

import geometry
import pandas as pd
import pytest
from coupling.analysis import regime
from coupling.report import answers
from coupling.report.figures import style
from coupling.report.figures.regime import draw

STEPS = (0, 150, 300, 450, 600)
GOOD = {"self": 0.9, "target": 0.85, "agreement": 0.9, "flag_balanced": 0.9, "divergent": 0.1}


def runs(**settings):
    """The table of runs of some settings: what each has in place of GOOD at its last step, or by step."""
    rows = []
    for condition, values in ({regime.REFERENCE: {"divergent": 0.04}} | settings).items():
        for task in ("hint_qa", "aita"):
            for m0_seed in (5, 6):
                for step in STEPS:
                    about = {"condition": condition, "task": task, "m0_seed": m0_seed, "step": step}
                    row = about | GOOD | {"collapsed": "" if step else "one label"}
                    where = values.get("only", (task, m0_seed)) == (task, m0_seed)
                    own = {k: v for k, v in values.items() if k not in ("only", "at")}
                    if where and step == values.get("at", STEPS[-1]):
                        row |= own
                    rows.append(row)
    return pd.DataFrame(rows)


def chosen(**settings):
    found = regime.choose(regime.cells(runs(**settings)))
    return found and found[0]


def test_the_setting_nearest_to_the_wanted_divergence_is_taken_and_never_the_reference():
    found = chosen(**{"64, 0.001, 1": {"divergent": 0.05}, "128, 0.002, 0.3": {"divergent": 0.12}})
    assert found == "128, 0.002, 0.3"
    assert chosen() is None


@pytest.mark.parametrize(
    "bad",
    [
        {"target": 0.81},
        {"agreement": 0.87},
        {"agreement": 0.79, "at": 300},
        {"self": 0.84, "at": 450},
        {"flag_balanced": 0.64},
        {"flag_balanced": float("nan")},
        {"collapsed": "one label"},
    ],
)
def test_one_cell_that_breaks_the_rule_excludes_a_setting(bad):
    broken = {"divergent": 0.1, "only": ("aita", 6)} | bad
    assert chosen(**{"128, 0.002, 1": broken, "64, 0.002, 1": {"divergent": 0.3}}) == "64, 0.002, 1"


def test_what_happens_before_half_of_the_steps_does_not_count():
    early = {"agreement": 0.3, "self": 0.1, "at": 150}
    assert chosen(**{"128, 0.002, 1": early}) == "128, 0.002, 1"


def test_ties_go_to_the_kl_weight_nearer_to_one_then_to_the_lower_rate():
    near = {"divergent": 0.11}
    assert chosen(**{"64, 0.001, 0.1": near, "128, 0.002, 1": {"divergent": 0.09}}) == "128, 0.002, 1"
    assert chosen(**{"64, 0.002, 1": near, "128, 0.001, 1": near}) == "128, 0.001, 1"


def test_limits_are_relaxed_in_the_written_order_and_no_further_than_needed():
    rough = {"self": 0.82, "at": 450}
    name, limits = regime.choose(regime.cells(runs(**{"128, 0.002, 1": rough})))
    assert (name, limits) == ("128, 0.002, 1", regime.LADDER[1])
    found = {"128, 0.002, 1": rough, "64, 0.002, 1": {"divergent": 0.5}}
    assert regime.choose(regime.cells(runs(**found)))[1] == regime.LADDER[0]
    assert chosen(**{"128, 0.002, 1": {"agreement": 0.83}}) is None


TAKES = "The rule (PLAN.md, tenth part) takes rank, learning rate and KL weight `128, 0.002, 1`."


@pytest.mark.parametrize(
    ("lowest", "said"),
    [
        (0.9, f"{TAKES} This setting keeps all limits."),
        (0.82, f"{TAKES} No setting keeps the first limits. 1 of 3 were relaxed, in the order of the plan."),
        (0.5, "No setting keeps the rule."),
    ],
)
def test_what_is_said_of_the_rule_names_how_far_it_was_relaxed(lowest, said):
    made = runs(**{"128, 0.002, 1": {"self": lowest, "at": 450}})
    assert answers.of_tables("regime", SimpleNamespace(runs=made)).found == [said]


def test_the_figure_names_the_setting_and_counts_the_cells_that_break_the_rule():
    figure = draw(runs(**{"128, 0.002, 1": {"agreement": 0.5}, "64, 0.002, 1": {}}))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert figure.alt == "64, 0.002, 1 is the setting for confirmation"
    assert "0.500 (4 of 4)" in texts


def test_the_figure_of_many_settings_can_be_read():
    with style.styled():
        figure = draw(runs(**{f"{rank}, 0.002, 1": {"agreement": 0.5} for rank in range(1, 20)}))
    found = geometry.boxes(figure)
    assert geometry.overlapping(found) == []
    assert geometry.outside(figure, found) == []
