import pytest
from coupling import spec as specs
from coupling.report import notebooks
from coupling.spec import SpecError, make_spec
from coupling.tasks import task_names


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
        notebooks.notebook_spec({"profile": "tiny", "rank": 8, "_x": 1, "pytest": pytest, "In": []}).rank == 8
    )
    with pytest.raises(SpecError, match="'kl_wieght': did you mean 'kl_weight'"):
        notebooks.notebook_spec({"profile": "tiny", "kl_wieght": 0})


def test_evaluations_hold_step_0_and_the_final_one():
    assert make_spec("tiny", steps=10, evaluations=3).evaluation_steps == [0, 3, 7, 10]
