"""What interventions did, counted on rows that were made by hand, and the figure that shows it."""

import geometry
import numpy as np
import pandas as pd
import pytest
from coupling.analysis import interventions, tables
from coupling.measure.outputs import OUTPUTS
from coupling.report import answers
from coupling.report.figures import interventions as figure
from coupling.report.figures import style

RUN = {"task": "hint_qa", "condition": "KL on", "m0_seed": 0, "seed": 0}
# Every item says (x, cf, answer, flag). The label source chooses 0 and 0 everywhere: "stays at 0".
STAYS, CHANGES = (0, 0, 0, 0), (1, 0, 0, 1)


def rows_of(intervention, each, **run):
    """Rows of items with what each of them says."""
    said = pd.DataFrame(each, columns=list(OUTPUTS))
    rises = dict.fromkeys((f"rise_{name}" for name in OUTPUTS), 0.5)
    about = RUN | run | {"intervention": intervention} | rises
    return said.assign(id=[f"i{k}" for k in range(len(each))], **about)


def items_of(number, **run):
    return pd.DataFrame({"id": [f"i{k}" for k in range(number)], "target_x": 0, "target_cf": 0} | RUN | run)


def test_shares_compare_an_explanation_with_the_behaviour_of_the_same_intervention():
    under = pd.concat(
        [
            rows_of("none", [STAYS, CHANGES, CHANGES, STAYS]),
            # The behaviour of the first item moves, the explanation of the second.
            rows_of("ablated", [(1, 0, 0, 0), (1, 0, 0, 0), CHANGES, STAYS]),
        ]
    )
    found = interventions.by_m0(under, items_of(4)).set_index("intervention")
    before, now = found.loc["none"], found.loc["ablated"]
    assert (before["behaviour_kept"], before["explanation_kept"], before["self"]) == (1, 1, 1)
    assert (before["target"], before["divergent"]) == (0.5, 0.5)
    assert (now["behaviour_kept"], now["explanation_kept"]) == (0.75, 0.75)
    assert (now["self"], now["target"], now["divergent"]) == (0.5, 0.75, 0.75)
    assert (now["rise_cf"], now["items"]) == (0.5, 4)
    assert np.isnan(now["preference"])  # one explainer


def test_preference_sets_explanations_under_the_intervention_against_behaviours_without_it():
    left = [CHANGES, STAYS]  # the first run leaves its label on the first item, the second on the second
    parts, items = [], []
    for seed, own in enumerate((left, left[::-1])):
        other = (left[::-1], left)[seed]
        parts.append(rows_of("none", own, seed=seed))
        # Behaviour breaks down. Explanations state what the run did, or what the other run did.
        parts += [
            rows_of(name, [(0, 1, *said[2:]) for said in stated], seed=seed)
            for name, stated in (("keeps", own), ("turns", other))
        ]
        items.append(items_of(2, seed=seed))
    found = interventions.by_m0(pd.concat(parts), pd.concat(items)).set_index("intervention")
    assert found["preference"].to_dict() == {"none": 1.0, "keeps": 1.0, "turns": 0.0}


def test_runs_count_once_and_m0s_give_the_interval():
    under = [
        rows_of("none", [STAYS] * 4, m0_seed=m0_seed, seed=seed) for m0_seed in range(3) for seed in (0, 1)
    ]
    for m0_seed in range(3):
        for seed in (0, 1):
            moved = [CHANGES] * (m0_seed + seed) + [STAYS] * (4 - m0_seed - seed)
            under.append(rows_of("steered by 1", moved, m0_seed=m0_seed, seed=seed))
    items = pd.concat([items_of(4, m0_seed=m, seed=s) for m in range(3) for s in (0, 1)])
    row = interventions.summary(interventions.by_m0(pd.concat(under), items)).iloc[-1]
    assert row["m0s"] == 3
    assert row["behaviour_kept"] == pytest.approx(1 - np.mean([0.125, 0.375, 0.625]))
    assert row["behaviour_kept_low"] < row["behaviour_kept"] < row["behaviour_kept_high"]


def shown():
    """The rows of three tasks and the interventions that a model of eight layers has."""
    names = ["none", *(f"ablated, {name}" for name in ("most for behaviour", "most for explanation"))]
    names += ["ablated, least for behaviour", "ablated, at random", "adapter times 0", "adapter times 0.5"]
    names += ["lower half alone", "upper half alone", "attention alone", "mlp alone"]
    names += [f"without layer {k}" for k in range(8)] + ["lower half of another run"]
    names += ["steered by 1", "steered by 2", "steered at random"]
    rng = np.random.default_rng(0)
    rows = [
        {"task": task, "condition": "KL on", "m0_seed": m0_seed, "intervention": name, "items": 64}
        | {measure: rng.uniform() for measure in interventions.MEASURES}
        for task in ("hint_qa", "aita", "refusal")
        for m0_seed in range(5)
        for name in names
    ]
    return pd.DataFrame(rows)


def test_the_figure_of_three_tasks_can_be_read_and_says_what_ablation_did():
    rows = shown()
    with style.styled():
        drawn = figure.draw(rows)
    kept = rows.groupby(["task", "intervention"])["explanation_kept"].mean()
    for task in rows["task"].unique():
        most, drawn_at = (kept[task, f"ablated, {name}"] for name in ("most for behaviour", "at random"))
        assert f"{most:.2f} on {task} ({drawn_at:.2f})" in drawn.alt.replace("\n", " ")
    found = geometry.boxes(drawn)
    assert geometry.overlapping(found) == []
    assert geometry.outside(drawn, found) == []
    assert drawn.get_size_inches()[1] < style.TALLEST


def test_what_is_said_names_the_shares_of_the_table():
    every = dict.fromkeys(tables.Tables.__dataclass_fields__) | {"interventions": shown()}
    answer = answers.of_tables("interventions", tables.Tables(**every))
    assert len(answer.rows) == 3 * 23
    means = interventions.summary(shown()).set_index(["task", "intervention"])
    assert f"{means.loc[('aita', 'ablated, at random'), 'explanation_kept']:.3f}" in answer.found[0]
    assert "steered by 2" in answer.found[-1]
