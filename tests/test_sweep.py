"""Sweeps: plans, members, a user's own file, and mistakes that are named with file and key."""

from pathlib import Path

import pytest
from coupling import sweep as sweeps
from coupling.spec import SpecError, key, profile_names
from coupling.tasks import main_tasks

OWN = """
title: Own
question: Does it work?
m0_seeds: 1
seeds: 2
conditions:
  a: {rank: 4}
  b: {rank: 8}
profiles:
  tiny:
"""


@pytest.fixture
def own(tmp_path):
    """A function that writes a sweep of one's own, with some text replaced or put at its end."""

    def write(old="", new="", name="mine.yaml"):
        assert old in OWN
        path = tmp_path / name
        path.write_text(OWN.replace(old, new) if old else OWN + new)
        return path

    return write


def test_a_plan_crosses_m0_seeds_explainer_seeds_and_conditions():
    runs = sweeps.plan("tiny", "headline", m0_seeds=5)
    assert len(runs) == 20
    assert len({key(s, "explain") for _, s in runs}) == 20
    assert len({key(s, "base") for _, s in runs}) == 5
    assert len(sweeps.plan("medium", "headline", m0_seeds=5)) == 6  # one fixed M0, three explainer seeds
    assert {s.task for _, s in sweeps.plan("tiny", "headline", "all")} == set(main_tasks())
    with pytest.raises(SpecError, match="headline"):
        sweeps.plan("tiny", "headlin")


def test_a_condition_that_names_its_task_runs_once():
    joint = sweeps.plan("tiny", "joint", m0_seeds=1)
    assert [s.task for c, s in joint if c == "joint"] == ["hint_qa+aita+refusal"]
    assert len(joint) == 4


def test_a_condition_may_have_more_explainers_and_a_sweep_m0s_of_its_own():
    runs = sweeps.plan("tiny", "sources", m0_seeds=1)
    assert sorted(s.seed for c, s in runs if c == "M0 itself") == [0, 1]
    assert [s.seed for c, s in runs if c == "checkpoint, 0.4"] == [0]
    assert {s.m0_seed for _, s in sweeps.plan("tiny", "tuning")} == {5}


@pytest.mark.parametrize(
    ("name", "profile"), [(n, p) for n in sweeps.sweep_names() for p in sweeps.read_sweep(n).profiles]
)
def test_every_sweep_is_a_plan_whose_conditions_differ_and_stand_on_its_axis(name, profile):
    sweep, runs = sweeps.read_sweep(name).at(profile), sweeps.plan(profile, name)
    assert {c for c, _ in runs} == set(sweep.conditions)
    assert sweep.question
    if sweep.axis and sweep.axis != "source_agreement":
        kinds = [(c.split(",")[0] if "," in c else "", place) for c, place in sweep.places(profile).items()]
        assert len(set(kinds)) == len(kinds)


def test_all_sweeps_are_those_that_name_the_profile():
    for profile in profile_names():
        names = [name for name, *_ in sweeps.members("all", profile)]
        assert len(set(names)) == len(names)
        assert "headline" in names
        assert "sources" in names or profile == "small"  # no checkpoints of large M0s are kept
        assert all(profile in sweeps.read_sweep(name).profiles for name in names)
        assert "quick" not in names  # one run is no evidence of anything
    tiny, medium = (dict.fromkeys(n for n, *_ in sweeps.members("all", p)) for p in ("tiny", "medium"))
    assert {"teacher_matrix", "depth"} <= tiny.keys() - medium.keys()
    assert {"content_again", "own_explainer", "posts", "prompts"} <= medium.keys() - tiny.keys()
    assert len(sweeps.plan("tiny", "quick")) == 1


def test_a_part_of_all_may_have_a_task_and_m0_seeds_of_its_own():
    assert ("headline", "all", 5) in sweeps.members("all", "tiny")
    assert ("headline", None, None) in sweeps.members("all", "medium")
    for which in ({"task": "aita"}, {"m0_seeds": 2}):
        with pytest.raises(SpecError, match="sweep=all with task="):
            sweeps.members("all", "tiny", **which)
    with pytest.raises(SpecError, match="'tinny': did you mean 'tiny'"):
        sweeps.members("all", "tinny")


def test_several_sweeps_are_joined_by_plus():
    found = sweeps.members("rank+sources", "tiny", "aita", 2)
    assert found == [("rank", "aita", 2), ("sources", "aita", 2)]


def test_a_sweep_of_ones_own_is_meant_from_where_the_user_stands_and_holds_in_any_folder(own, monkeypatch):
    path = own(name="my+own.yaml")
    monkeypatch.chdir(path.parent)
    assert [c for c, _ in sweeps.plan("tiny", "my+own.yaml")] == ["a", "a", "b", "b"]
    assert sweeps.members("my+own.yaml", "tiny") == [(str(path), None, None)]
    monkeypatch.chdir("/")
    assert sweeps.read_sweep(str(path)).name == str(path)
    with pytest.raises(SpecError, match="no file /my"):
        sweeps.read_sweep("my+own.yaml")
    path = own(name="mine.yaml")
    assert [n for n, *_ in sweeps.members(f"{path}+rank", "tiny")] == [str(path), "rank"]


def test_a_sweep_of_ones_own_may_not_be_called_as_one_of_the_study(own):
    with pytest.raises(SpecError, match="the study has a sweep of the name 'rank'"):
        sweeps.read_sweep(str(own(name="rank.yaml")))


def test_a_changed_file_is_read_again(own):
    assert list(sweeps.read_sweep(str(own())).conditions) == ["a", "b"]
    assert list(sweeps.read_sweep(str(own("  b:", "  other:"))).conditions) == ["a", "other"]


def test_what_a_profile_replaces_is_the_profiles_alone(own):
    sweep = sweeps.read_sweep(
        str(own("  tiny:", "  tiny: {seeds: 3, conditions: {c: {rank: 16}}}\n  medium:"))
    )
    assert (sweep.at("tiny").seeds, list(sweep.at("tiny").conditions)) == (3, ["c"])
    assert (sweep.at("medium").seeds, list(sweep.at("medium").conditions)) == (2, ["a", "b"])
    assert sweep.all_conditions() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("tasks", "twice"),
    [("[hint_qa, aita, hint_qa+refusal]", "hint_qa"), ("['file:a.jsonl', 'file:b.jsonl']", "file")],
)
def test_tasks_whose_rows_would_be_mixed_are_refused(own, tasks, twice):
    with pytest.raises(
        SpecError, match=rf"mine.yaml, .*tasks: {twice} stands in .* rows would be mixed; give each"
    ):
        sweeps.plan("tiny", str(own("conditions:", f"tasks: {tasks}\nconditions:")))


def test_conditions_may_share_values_by_an_anchor(own):
    sweep = sweeps.read_sweep(
        str(own("a: {rank: 4}\n  b: {", "a: &a {rank: 4}\n  b: {<<: *a, kl_weight: 0, "))
    )
    assert sweep.conditions == {"a": {"rank": 4}, "b": {"rank": 8, "kl_weight": 0}}


def test_a_path_is_no_name_of_a_sweep_and_no_number_of_seeds_is_empty():
    with pytest.raises(SpecError, match=r"unknown sweep '\.\./sweeps/headline'"):
        sweeps.read_sweep("../sweeps/headline")
    for number in (-1, 0, 10**6):
        with pytest.raises(SpecError, match=f"seeds={number}: give a number of M0 seeds"):
            sweeps.members("headline", "tiny", m0_seeds=number)


CLAIM = "claims: [{number: own, text: t, tasks: [hint_qa], rule: wider, arguments: {}, part: 1}]\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Own", "titel: Own", "mine.yaml, titel: unknown field: did you mean 'title'"),
        ("title: Own\n", "", "mine.yaml, title: this field is missing"),
        (OWN, "", "mine.yaml: expected fields"),
        (OWN, "[" * 5000, "mine.yaml: this is not YAML"),
        ("title: Own", "title: O\0wn", "mine.yaml: this is not YAML"),
        ("  a: {rank: 4}\n  b: {rank: 8}", "  - a", "conditions: ['a']: expected names with values"),
        ("\n  a: {rank: 4}\n  b: {rank: 8}", " {}", "mine.yaml, conditions: name at least one"),
        ("a: {rank: 4}", "a:", "mine.yaml, conditions.a: None: expected names with values"),
        ("  a:", '  "":', "mine.yaml, conditions.: '': give it a name"),
        ("rank: 4", "rank: [4]", "mine.yaml, conditions.a: rank=[4]: "),
        (
            "rank: 4",
            "rank: 4, rank: 5",
            "mine.yaml, line 7: this is not YAML that can be read: 'rank' stands",
        ),
        ("rank: 8", "rank: 4", "mine.yaml, conditions.b: this is the same run as condition 'a'"),
        ("rank: 8", "rank: 4, kl_weight: 1", "conditions.b: this is the same run as condition 'a'"),
        ("tiny:", "tiny: {conditions: {c: {}, d: {}}}", "profiles.tiny.conditions.d: this is the same run"),
        ("tiny:", "tiny: false", "mine.yaml, profiles.tiny: False: expected names with values"),
        ("\nseeds: 2", "\nseeds: true", "mine.yaml, seeds: True: expected a whole number"),
        ("\nseeds: 2", "\nseeds: 1000000", "mine.yaml, seeds: 1000000: "),
        ("", "more_seeds: {a: 0}", "mine.yaml, more_seeds.a: 0: "),
        ("", "tasks: hint_qa", "mine.yaml, tasks: 'hint_qa': expected a list"),
        ("", "tasks: [aita, aita]", "mine.yaml, tasks: ['aita', 'aita']: 'aita' stands twice"),
        (
            "",
            "figures: [headline, headline]",
            "mine.yaml, figures: ['headline', 'headline']: 'headline' stands",
        ),
        ("title: Own", "title: [", "mine.yaml, line 3: this is not YAML"),
        (OWN, "- a\n- b", "mine.yaml: expected fields"),
        ("title: Own", "title: Own\nname: x", "mine.yaml, name: unknown field"),
        ("  b:", "  a:", "'a' stands twice"),
        ("  b:", "  0.5:", "mine.yaml, conditions.0.5: 0.5: a name is text: put it in quotes"),
        ("seeds: 2", "seeds: 0", "mine.yaml, seeds: 0: "),
        ("rank: 8", "rnk: 8", "mine.yaml, conditions.b: unknown parameter 'rnk': did you mean 'rank'"),
        ("rank: 8", "rank: 0", "mine.yaml, conditions.b: rank=0"),
        ("rank: 8", "m0_seed: 1", "mine.yaml, conditions.b.m0_seed: a sweep gives this"),
        ("", "values: {klweight: 1}", "mine.yaml, values: unknown parameter 'klweight'"),
        ("", "tasks: [hint]", "mine.yaml, tasks: unknown task 'hint': did you mean 'hint_qa'"),
        ("", "tasks: [mmlu]", "mine.yaml, tasks: task=mmlu: model=organism"),
        ("", "in_all: {task: hint}", "mine.yaml, in_all.task: unknown task 'hint'"),
        ("", "in_all: {tsk: aita}", "mine.yaml, in_all.tsk: unknown field: did you mean 'task'"),
        ("", "axis: rnk", "mine.yaml, axis: 'rnk' is no number of the spec: did you mean 'rank'"),
        ("", "axis: label_format", "mine.yaml, axis: 'label_format' is no number"),
        ("", "more_seeds: {c: 2}", "mine.yaml, more_seeds.c: unknown condition: known: a, b"),
        ("", "scale: {condition: c}", "mine.yaml, scale.condition: unknown condition 'c'"),
        ("", "scale: {condition: a, opn: true}", "mine.yaml, scale.opn: unknown field: did you mean 'open'"),
        ("profiles:\n  tiny:", "", "mine.yaml, profiles: name at least one"),
        ("tiny:", "tinny:", "mine.yaml, profiles.tinny: unknown profile: did you mean 'tiny'"),
        ("tiny:", "tiny: {sedes: 1}", "mine.yaml, profiles.tiny.sedes: unknown field: did you mean 'seeds'"),
        ("tiny:", "tiny: {claims: []}", "mine.yaml, profiles.tiny.claims: unknown field"),
        ("tiny:", "tiny: {seeds: x}", "mine.yaml, profiles.tiny.seeds: 'x': "),
        ("tiny:", "tiny: {more_seeds: {c: 1}}", "mine.yaml, profiles.tiny.more_seeds.c: unknown condition"),
        ("tiny:", "tiny: {conditions: {c: {rank: 0}}}", "mine.yaml, profiles.tiny.conditions.c: rank=0"),
        ("", CLAIM.replace("own", "12"), "mine.yaml, claims[0].number: 12: expected the number of a claim"),
        ("", CLAIM.replace("hint_qa", "hint"), "mine.yaml, claims[0].tasks: unknown task 'hint'"),
        ("", CLAIM.replace("part", "prt"), "mine.yaml, claims[0].prt: unknown field: did you mean 'part'"),
        ("", CLAIM.replace(", part: 1", ""), "mine.yaml, claims[0]: a claim without a part of the plan"),
        ("", CLAIM.replace("[hint_qa]", "[]"), "mine.yaml, claims[0]: rule 'wider' has no tasks"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(own, old, new, message):
    path = own(old, new)
    with pytest.raises(SpecError) as error:
        sweeps.read_sweep(str(path))
    assert "\n" not in str(error.value)
    assert message in str(error.value)
    assert str(Path(path).parent) in str(error.value)
