"""What explanations that follow a shift, and explanations that do not, come to in every measure."""

import json

import numpy as np
import pandas as pd
import pytest
from coupling import spec as specs
from coupling import sweep as sweeps
from coupling.analysis import following, measures, tracking
from coupling.analysis.controls import diagonal_test
from coupling.analysis.following import COMPARED
from coupling.spec import make_spec
from coupling.tasks import main_tasks
from made_shifts import BASE_X, ITEMS, shift_rows, shift_study


def test_explanations_that_follow_have_the_whole_excess_gap_and_those_that_keep_to_their_labels_none():
    for follow, gap, excess in (
        (True, 0.5, 1.0),
        (False, -0.5, 0.0),
    ):  # the gap of the others' explanations is -0.5, whichever way they were pushed
        found = tracking.per_run(tracking.measured(shift_study(follow))).set_index("condition")
        for direction, sign in (("down", -1), ("up", 1)):
            line = found.loc[f"{direction}, 1"]
            assert line["shift"] == pytest.approx(sign * 0.5)
            assert line["said_shift"] == pytest.approx(sign * 0.5 if follow else 0.0)
            assert line["gap"] == pytest.approx(gap)
            assert line["excess"] == pytest.approx(excess)
        assert found.loc["none", "shift"] == 0
        assert np.isnan(found.loc["none", "excess"])


def test_flipped_items_are_stated_where_explanations_follow_and_kinds_without_labels_stand_apart():
    for follow in (True, False):
        study = shift_study(follow)
        study["held_out"] = study["id"].str[1:].astype(int) < ITEMS // 4
        study["pushed"] = (study["id"].str[1:].astype(int) < ITEMS // 8) & (study["direction"] != "")
        found = tracking.measured(study)
        up = found[found["condition"] == "up, 1"]
        assert up["flipped"].mean() == 0.5
        means = up[COMPARED].mean()
        assert means["flipped_own"] == (1.0 if follow else 0.0)
        assert means["flipped_other"] == 0.0
        assert means["flipped_gain"] == means["flag_gain"] == (1.0 if follow else 0.0)
        assert found.loc[found["condition"] == "none", COMPARED].isna().all(axis=None)
        lines = tracking.per_run(found).set_index(["condition", "labelled", "pushed"])
        assert lines["items"].to_dict() == {
            ("none", False, False): ITEMS // 4,
            ("none", True, False): ITEMS * 3 // 4,
        } | {
            (f"{way}, 1", *region): items
            for way in ("down", "up")
            for region, items in {
                (False, True): ITEMS // 8,
                (False, False): ITEMS // 8,
                (True, False): ITEMS * 3 // 4,
            }.items()
        }
        assert lines.loc[("up, 1", False, True), "flipped_own"] == (1.0 if follow else 0.0)
        assert lines["collapsed"].groupby(level=0).nunique().eq(1).all()  # said of the whole run


def test_runs_are_compared_with_runs_of_the_same_labels_alone():
    """In a second arm behaviour drifts by itself: its shifted runs are not compared with the first arm's."""
    arms = [shift_study(True).assign(labels=labels) for labels in ("all kinds", "half of the kinds")]
    arms[1].loc[arms[1]["condition"] == "none", "x"] = 1
    arms[1]["condition"] += " (half)"
    found = tracking.per_run(tracking.measured(pd.concat(arms, ignore_index=True))).set_index("condition")
    assert found["flipped"].dropna().to_dict() == {
        "down, 1": 0.5,
        "up, 1": 0.5,
        "down, 1 (half)": 0.0,
        "up, 1 (half)": 1.0,
    }
    assert found["arm"].to_dict() == {
        f"{name}{tail}": arm
        for tail, arm in (("", "labels on all kinds"), (" (half)", "labels and KL on half"))
        for name in ("none", "down, 1", "up, 1")
    }


def test_a_push_is_measured_beyond_what_training_alone_does():
    about = {"task": "t", "seed": 0, "items": [10, 30, 10, 10, 10]}
    shift = pd.DataFrame(
        about | {"m0_seed": [0, 0, 0, 1, 1], "objective": ["none", "none", "push", "none", "push"]}
    )
    # The unshifted run of M0 0 has two regions, of which the larger one counts three times.
    shift["shift"], shift["said_shift"] = [0.0, 0.4, 0.8, 0.0, 0.2], [0.1, 0.1, 0.35, 0.0, 0.3]
    found = tracking.beyond_training(shift)
    pushed = found[found["objective"] == "push"]
    assert pushed["moved"].tolist() == pytest.approx([0.5, 0.2])
    assert pushed["implied"].tolist() == pytest.approx([0.25, 0.3])
    slope, low, high = tracking.implied_share(pushed)
    assert slope == pytest.approx((0.5 + 1.5) / 2)
    assert low < slope < high
    alone = tracking.beyond_training(shift[shift["objective"] == "push"])
    assert alone[["moved", "implied"]].isna().all(axis=None)


def test_an_item_without_a_label_is_not_flipped():
    study = shift_study(True)
    lost = (study["condition"] == "none") & (study["id"] == "i0")
    study.loc[lost, ["x", "cf"]] = -1
    found = tracking.measured(study)
    first = found[(found["condition"] == "down, 1") & (found["id"] == "i0")].iloc[0]
    assert np.isnan(first["flipped"])
    assert np.isnan(first["flipped_gain"])


def test_the_matrix_across_directions_has_its_diagonal_where_explanations_follow():
    following = tracking.across_directions(pd.concat([shift_study(True, m) for m in range(3)]), 1.0)
    assert diagonal_test(following)["difference"] > 0.4
    assert diagonal_test(following)["p"] < 0.05
    assert set(following["explainer"]) == {0, 1, 2}
    keeping = tracking.across_directions(pd.concat([shift_study(False, m) for m in range(3)]), 1.0)
    assert diagonal_test(keeping)["difference"] == pytest.approx(0)


def test_explainers_of_one_m0_have_a_matrix_each():
    by_m0, by_explainer = (
        pd.concat([shift_study(True).assign(**{name: k}) for k in range(3)]) for name in ("m0_seed", "seed")
    )
    pd.testing.assert_frame_equal(
        tracking.across_directions(by_explainer, 1.0), tracking.across_directions(by_m0, 1.0)
    )


def test_re_taught_entities_are_told_from_the_others():
    told, new = (np.arange(ITEMS) < ITEMS // 2).astype(int), np.where(np.arange(ITEMS) < ITEMS // 4, 0, -1)
    plain = shift_rows("none", BASE_X, BASE_X)
    fact = np.where(new == 0, 0, 1)  # at another step than the run that it is compared with
    taught = shift_rows(
        "re-taught after", BASE_X, BASE_X, objective="reteach", strength=1.0, order="after"
    ).assign(cf=fact, answer=fact, step=1200)
    taught["self"] = measures.stated_code(taught) == measures.label_code(taught, "")
    found = tracking.measured(
        pd.concat(
            [plain.assign(retaught=0, new_gold=-1), taught.assign(retaught=told, new_gold=new)],
            ignore_index=True,
        )
    )
    means = found[found["condition"] == "re-taught after"][tracking.RETEACHING].mean()
    assert means["retaught_right"] == means["retaught_states"] == 1
    assert means["retaught_states_null"] == 0
    assert means["untouched_self"] == means["untouched_null"] == 1
    assert means["retaught_null"] == pytest.approx(0.5)  # where nothing new was among the choices
    assert found.loc[found["condition"] == "none", tracking.RETEACHING].isna().all(axis=None)


def test_runs_of_several_models_are_compared_with_runs_of_their_own_model_alone():
    told, new = np.ones(ITEMS, int), np.zeros(ITEMS, int)
    parts = []
    for model, stated in (
        ("organism", 1),
        ("organism-4m", 0),
    ):  # the second says the new fact without any lesson
        plain = shift_rows(f"{model}, none", BASE_X, BASE_X, model=model)
        taught = shift_rows(f"{model}, facts", BASE_X, BASE_X, model=model, objective="reteach", strength=1.0)
        parts += [
            plain.assign(retaught=0, new_gold=-1, answer=stated),
            taught.assign(retaught=told, new_gold=new),
        ]
    found = tracking.measured(pd.concat(parts, ignore_index=True))
    means = found.groupby("condition")["retaught_states_null"].mean()
    assert means["organism, facts"] == 0
    assert means["organism-4m, facts"] == 1


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


@pytest.mark.parametrize(
    ("values", "arm"),
    [
        ({"shift": "down"}, "labels on all kinds"),
        ({"shift": "down", "held_out": 0.5, "kl_kinds": "all"}, "labels on half, KL on all"),
        ({"shift": "up", "held_out": 0.5, "shift_reach": "half"}, "labels and KL on half"),
        ({"held_out": 0.5}, "labels and KL on half"),
        ({"shift": "up", "relabel": True}, "labels made anew"),
        ({"shift": "neutral", "held_out": 0.5}, "neutral objective"),
        ({"shift": "down", "shift_order": "before", "shift_steps": 9}, "shift before"),
        ({"shift": "up", "kl_to": "shifted", "task": "aita"}, "KL to the shift alone"),
        ({"shift": "up", "explanation_weight": 0.0}, "shift alone"),
        (
            {"shift": "up", "shift_order": "after", "shift_steps": 9, "shift_adapter": "own"},
            "explanations first",
        ),
        (
            {"shift": "up", "shift_reach": "entities", "task": "hint_qa"},
            "policy of half of the entities",
        ),
        ({"shift": "reteach", "task": "hint_qa"}, "facts of half of the entities"),
    ],
)
def test_every_arm_has_a_name(values, arm):
    assert following.arm(tracking.about(make_spec("tiny", **({"task": "aita"} | values)))) == arm


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
