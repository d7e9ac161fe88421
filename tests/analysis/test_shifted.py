"""Shifts of behaviour: what explanations that follow, and explanations that do not, come to in every measure; the way from runs to tables and figures."""

import json

import numpy as np
import pandas as pd
import pytest
from coupling import files
from coupling import spec as specs
from coupling import sweep as sweeps
from coupling.analysis import measures, tables, tracking
from coupling.analysis.controls import diagonal_test
from coupling.report import figures
from coupling.spec import make_spec
from coupling.tasks import main_tasks

ITEMS = 200
CUES = np.zeros(
    ITEMS, int
)  # every cue proposes choice 0, which M0 follows on every second item; without it M0 says 1


def rows(condition, x, stated_x, m0_seed=0, **about):
    """Final rows of a run on two-choice items: M_t's choices on x, and those that its explanations imply, with 1 as the answer without the cue."""
    base_x = np.arange(ITEMS) % 2
    changes = (stated_x != 1).astype(int)
    frame = pd.DataFrame(
        {
            "task": "aita",
            "condition": condition,
            "m0_seed": m0_seed,
            "seed": 0,
            "step": 600,
            "id": [f"i{k}" for k in range(ITEMS)],
            "group": [f"g{k % 20}" for k in range(ITEMS)],
            "kind": "k",
            "text": changes.astype(str),
            "valid": True,
            "changes": changes,
            "answer": 1,
            "gold": 1,
            "hinted": CUES,
            "x": x,
            "cf": 1,
            "target_x": base_x,
            "target_cf": 1,
            "base_x": base_x,
            "base_cf": 1,
            "mass_x": 1.0,
            "mass_cf": 1.0,
            "kl_x": 0.0,
            "kl_cf": 0.0,
            "forced_self": np.nan,
        }
    )
    for name, prefix in (("self", ""), ("target", "target_"), ("base", "base_")):
        frame[name] = measures.stated_code(frame) == measures.label_code(frame, prefix)
    plain = {
        "objective": "none",
        "direction": "",
        "strength": 0.0,
        "order": "",
        "replay": 0.0,
        "explained": True,
        "relabelled": False,
    }
    return frame.assign(**(plain | about))


def study(follow, m0_seed=0):
    """No shift, down (no cue is followed) and up (all are); explanations state the model's own behaviour, or M0's."""
    base_x = np.arange(ITEMS) % 2
    pushed = {"down": np.ones(ITEMS, int), "up": CUES}
    about = {"objective": "sycophancy", "strength": 1.0, "order": "with"}
    parts = [rows("none", base_x, base_x, m0_seed)]
    parts += [
        rows(f"{d}, 1", x, x if follow else base_x, m0_seed, direction=d, **about) for d, x in pushed.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_explanations_that_follow_have_the_whole_excess_gap_and_those_that_keep_to_their_labels_none():
    for follow, gap, excess in (
        (True, 0.5, 1.0),
        (False, -0.5, 0.0),
    ):  # the gap of the others' explanations is -0.5, whichever way they were pushed
        found = tracking.per_run(tracking.measured(study(follow))).set_index("condition")
        for direction, sign in (("down", -1), ("up", 1)):
            line = found.loc[f"{direction}, 1"]
            assert line["shift"] == pytest.approx(sign * 0.5)
            assert line["said_shift"] == pytest.approx(sign * 0.5 if follow else 0.0)
            assert line["gap"] == pytest.approx(gap)
            assert line["excess"] == pytest.approx(excess)
        assert found.loc["none", "shift"] == 0
        assert np.isnan(found.loc["none", "excess"])


def test_the_matrix_across_directions_has_its_diagonal_where_explanations_follow():
    following = tracking.across_directions(pd.concat([study(True, m) for m in range(3)]), 1.0)
    assert diagonal_test(following)["difference"] > 0.4
    assert diagonal_test(following)["p"] < 0.05
    assert set(following["explainer"]) == {0, 1, 2}
    keeping = tracking.across_directions(pd.concat([study(False, m) for m in range(3)]), 1.0)
    assert diagonal_test(keeping)["difference"] == pytest.approx(0)


def test_explainers_of_one_m0_have_a_matrix_each():
    by_m0, by_explainer = (
        pd.concat([study(True).assign(**{name: k}) for k in range(3)]) for name in ("m0_seed", "seed")
    )
    pd.testing.assert_frame_equal(
        tracking.across_directions(by_explainer, 1.0), tracking.across_directions(by_m0, 1.0)
    )


def test_re_taught_entities_are_told_from_the_others():
    base_x = np.arange(ITEMS) % 2
    told, new = (np.arange(ITEMS) < ITEMS // 2).astype(int), np.where(np.arange(ITEMS) < ITEMS // 4, 0, -1)
    plain = rows("none", base_x, base_x)
    fact = np.where(new == 0, 0, 1)  # at another step than the run that it is compared with
    taught = rows("re-taught after", base_x, base_x, objective="reteach", strength=1.0, order="after").assign(
        cf=fact, answer=fact, step=1200
    )
    taught["self"] = measures.stated_code(taught) == measures.label_code(taught, "")
    found = tracking.measured(
        pd.concat(
            [plain.assign(retaught=0, new_gold=-1), taught.assign(retaught=told, new_gold=new)],
            ignore_index=True,
        )
    )
    means = found[found["condition"] == "re-taught after"][tracking._TOLD].mean()
    assert means["retaught_right"] == means["retaught_states"] == 1
    assert means["retaught_states_null"] == 0
    assert means["untouched_self"] == means["untouched_null"] == 1
    assert means["retaught_null"] == pytest.approx(0.5)  # where nothing new was among the choices
    assert found.loc[found["condition"] == "none", tracking._TOLD].isna().all(axis=None)


@pytest.fixture
def small(spec, monkeypatch):
    """A shift sweep of the smallest size, one task: (condition, spec) each, run and collected."""
    chosen = {
        "none": {},
        "down, 1": {"shift": "down"},
        "up, 1": {"shift": "up"},
        "down, after": {"shift": "down", "shift_order": "after", "shift_steps": 3},
        "down, no explanations": {"shift": "down", "explanation_weight": 0.0},
        "re-taught with": {"shift": "reteach"},
        "re-taught, no explanations": {"shift": "reteach", "explanation_weight": 0.0},
    }
    runs = [(c, spec.model_copy(update={**v, "learning_rate": 0.02, "steps": 40})) for c, v in chosen.items()]
    for _, s in runs:
        runs.explain(s)
    found = tables.collect("shift", runs)
    tables.write(found, tables.folder("tiny", "shift"))
    return found


def test_a_sweep_of_shifts_has_its_tables_and_they_are_read_as_they_were_made(small):
    again = tables.read("tiny", "shift")
    for name in ("shift", "sensor", "items"):
        pd.testing.assert_frame_equal(getattr(small, name), getattr(again, name))
    runs = again.shift.set_index("condition")
    assert len(runs) == 7
    assert runs.loc["down, 1", ["objective", "direction", "strength", "order"]].tolist() == [
        "sycophancy",
        "down",
        1.0,
        "with",
    ]
    assert runs.loc["none", "excess"] != runs.loc["none", "excess"]
    assert runs.loc[["re-taught with"], ["retaught_self", "untouched_self"]].notna().all(axis=None)
    assert (
        runs.drop(["re-taught with", "re-taught, no explanations"])[["retaught_self", "untouched_self"]]
        .isna()
        .all(axis=None)
    )
    assert runs.loc["down, no explanations", "forced_self"] >= 0
    assert runs.loc["down, after", "kl_paid"] != runs.loc["down, after", "kl_paid"]
    assert runs.loc["down, 1", "kl_paid"] >= 0
    finals = again.runs[
        again.runs["step"] == again.runs.groupby("condition")["step"].transform("max")
    ].set_index("condition")
    assert runs["self"].to_dict() == pytest.approx(finals["self"].to_dict())
    assert set(again.sensor["condition"]) == {"none", "down, 1", "up, 1", "down, after", "re-taught with"}
    assert set(again.sensor.loc[again.sensor["condition"] == "down, after", "step"]) == {
        13,
        27,
        40,
        41,
        42,
        43,
    }


def test_every_figure_of_a_sweep_of_shifts_is_drawn(small):
    for name in ("tracking", "directions", "order", "reteaching", "sensor"):
        figures.figure(name, "tiny", "shift")
        assert (files.figures_dir() / "tiny" / f"shift-{name}.png").stat().st_size > 20_000


def test_what_every_run_of_the_shift_has_is_put_together_for_all_profiles(small):
    figures.write_study_tables()
    for name in ("shift", "sensor"):
        assert len(figures.study_table(name)) == len(getattr(small, name))


def test_the_shift_sweep_is_within_its_plan():
    runs = sweeps.plan("tiny", "shift")
    assert len(runs) == 150
    assert {s.m0_seed for _, s in runs} == set(range(5))
    assert len({specs.key(s, "explain") for _, s in runs}) == 150
    pushed = [
        s
        for _, s in runs
        if s.shift in ("down", "up") and s.shift_order == "with" and s.explanation_weight and not s.relabel
    ]
    assert {(s.task, s.shift) for s in pushed} == {(t, d) for t in main_tasks() for d in ("down", "up")}
    assert len({s.shift_weight for s in pushed}) == 3


def test_about_names_every_shift():
    about = tracking.about(make_spec("tiny", task="refusal", shift="up", shift_weight=0.3))
    assert (about["objective"], about["direction"], about["strength"], about["order"]) == (
        "refusal",
        "up",
        0.3,
        "with",
    )
    assert tracking.about(make_spec("tiny", shift="neutral"))["direction"] == ""
    assert tracking.about(make_spec("tiny"))["strength"] == 0
    assert json.dumps(about)
