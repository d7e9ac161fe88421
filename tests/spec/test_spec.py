import pytest
from coupling import spec as specs
from coupling import sweep as sweeps
from coupling.report import notebooks
from coupling.spec import SpecError, key, make_spec
from coupling.tasks import main_tasks, task_names


def test_every_field_has_a_stage_and_a_description():
    for name, field in specs.Spec.model_fields.items():
        assert field.json_schema_extra["stage"] in (*specs.STAGES, "none"), name
        assert field.description, name


def test_descriptions_leave_the_list_of_tasks_to_the_tasks():
    for name, field in specs.Spec.model_fields.items():
        assert not set(field.description.replace(",", " ").split()) & set(task_names()), name


def test_a_specification_is_flat_and_every_field_but_the_profile_is_in_one_section():
    sections = [name for section in specs.SECTIONS.values() for name in section.model_fields]
    assert ["profile", *sections] == list(specs.Spec.model_fields)


@pytest.mark.parametrize("name", specs.SECTIONS)
def test_a_section_can_be_checked_alone(name):
    section = specs.SECTIONS[name]
    fields = {field: getattr(make_spec("tiny"), field) for field in section.model_fields}
    assert section(**fields).model_dump() == fields


def test_a_label_source_differs_in_the_fields_that_it_names():
    spec = make_spec("tiny", source="m0_seed=1,m0_checkpoint=0.4", source_share=0.5)
    source = spec.label_source
    assert (source.m0_seed, source.m0_checkpoint, source.source, source.source_share) == (1, 0.4, "", 1.0)
    assert source.label_source is source


def test_the_run_that_an_m0_comes_from_has_its_seed_and_labels_of_its_own():
    spec = make_spec("tiny", explainer=3, source="explainer=-1")
    assert spec.explained == make_spec("tiny", seed=3)


def test_notebook_parameters_reject_what_the_spec_does_not_know():
    assert (
        notebooks.notebook_spec({"profile": "tiny", "rank": 8, "_x": 1, "run": object(), "In": []}).rank == 8
    )
    with pytest.raises(SpecError, match="'kl_wieght': did you mean 'kl_weight'"):
        notebooks.notebook_spec({"profile": "tiny", "kl_wieght": 0})


def test_a_plan_crosses_m0_seeds_explainer_seeds_and_conditions():
    runs = sweeps.plan("tiny", "headline", m0_seeds=5)
    assert len(runs) == 20
    assert len({key(s, "explain") for _, s in runs}) == 20
    assert len({key(s, "base") for _, s in runs}) == 5
    assert len(sweeps.plan("medium", "headline", m0_seeds=5)) == 6  # one fixed M0, three explainer seeds
    assert {s.task for _, s in sweeps.plan("tiny", "headline", "all")} == set(main_tasks())
    joint = sweeps.plan("tiny", "joint", m0_seeds=1)
    assert [s.task for c, s in joint if c == "joint"] == ["hint_qa+aita+refusal"]
    assert len(joint) == 4
    with pytest.raises(SpecError, match="headline"):
        sweeps.plan("tiny", "headlin")


def test_evaluations_hold_step_0_and_the_final_one():
    assert make_spec("tiny", steps=10, evaluations=3).evaluation_steps == [0, 3, 7, 10]


def test_all_sweeps_are_each_of_them_that_has_tables_as_they_were_made():
    every = sweeps.members("all")
    assert ("headline", "all", 5) in every
    assert {n for n, *_ in every} == set(sweeps.sweep_names()) - {
        "quick",
        "content_again",
        "own_explainer",
        "posts",
        "prompts",
    }  # no evidence; not at tiny
    assert sweeps.members("rank+sources", "aita", 2) == [("rank", "aita", 2), ("sources", "aita", 2)]
    with pytest.raises(specs.SpecError, match="sweep=all with task=aita"):
        sweeps.members("all", "aita")


def test_a_condition_may_have_more_explainers_and_a_sweep_m0s_of_its_own():
    runs = sweeps.plan("tiny", "sources", m0_seeds=1)
    assert sorted(s.seed for c, s in runs if c == "M0 itself") == [0, 1]
    assert [s.seed for c, s in runs if c == "checkpoint, 0.4"] == [0]
    assert {s.m0_seed for _, s in sweeps.plan("tiny", "tuning")} == {5}


@pytest.mark.parametrize(
    ("name", "profile"),
    [(n, p) for n in sweeps.sweep_names() for p in ("tiny", *sweeps.read_sweep(n).profiles)],
)
def test_every_sweep_is_a_plan_whose_conditions_differ_and_stand_on_its_axis(name, profile):
    sweep, runs = sweeps.read_sweep(name).at(profile), sweeps.plan(profile, name)
    assert {c for c, _ in runs} == set(sweep.conditions)
    if sweep.axis and sweep.axis != "source_agreement":
        kinds = [(c.split(",")[0] if "," in c else "", place) for c, place in sweep.places(profile).items()]
        assert len(set(kinds)) == len(kinds)
