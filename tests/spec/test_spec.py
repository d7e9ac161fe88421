import pytest
from coupling import spec as specs
from coupling.report import notebooks
from coupling.spec import SpecError, key, make_spec


def test_a_field_enters_the_keys_of_its_stage_and_of_later_ones_alone():
    plain = make_spec("tiny")
    cases = [
        ("entities", 30, "m0"),
        ("m0_seed", 1, "m0"),
        ("test_items", 9, "items"),
        ("eval_batch", 9, "base"),
        ("seed", 1, "labels"),
        ("rank", 8, "explain"),
    ]
    for name, value, first in cases:
        other = make_spec("tiny", **{name: value})
        changed = [s for s in specs.STAGES if key(plain, s) != key(other, s)]
        assert changed == list(specs.STAGES[specs.STAGES.index(first) :]), name


def test_what_cannot_change_a_result_does_not_enter_the_key():
    assert key(make_spec("tiny"), "base") == key(make_spec("tiny", memory_gb=3), "base")
    assert key(make_spec("medium"), "explain") == key(make_spec("medium", entities=9, m0_seed=4), "explain")


def test_every_field_has_a_stage_and_a_description():
    for name, field in specs.Spec.model_fields.items():
        assert field.json_schema_extra["stage"] in (*specs.STAGES, "none"), name
        assert field.description, name


def test_a_file_enters_the_key_by_its_content(tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    a.write_text("same")
    b.write_text("same")
    keys = [key(make_spec("medium", task=f"file:{p}"), "items") for p in (a, b)]
    assert keys[0] == keys[1]
    b.write_text("other!")
    assert key(make_spec("medium", task=f"file:{b}"), "items") != keys[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kl_wieght": 0}, ["kl_wieght", "kl_weight"]),
        ({"task": "hint_qaa"}, ["hint_qaa", "hint_qa"]),
        ({"learning_rate": -1e-3}, ["learning_rate", "-0.001", "greater than 0"]),
        ({"rank": 0}, ["rank", "0", "greater than or equal to 1"]),
        ({"task": "file:/nowhere/items.jsonl"}, ["/nowhere/items.jsonl"]),
        ({"profile": "tinny"}, ["tinny", "tiny"]),
        ({"task": "mmlu"}, ["organism", "mmlu"]),
        ({"m0_steps": 0}, ["m0_steps"]),
        ({"evaluations": 700}, ["evaluations=700"]),
        ({"task": "hint_qa+hint_qa"}, ["stands twice"]),
        ({"task": "hint_qa+aitta"}, ["aitta", "aita"]),
        ({"teach": "jabberwock"}, ["unknown teach", "jabberwocky"]),
        ({"task": "jabberwocky", "teach": "jabberwocky"}, ["teach=jabberwocky"]),
        ({"explanation_weight": 0}, ["explanation_weight=0"]),
        ({"held_out": 0.5}, ["hint_qa", "attributes"]),
        ({"m0_tasks": "mmlu"}, ["m0_tasks=mmlu", "hint_qa"]),
        ({"system": "Be brief"}, ["system='Be brief'", "taken as it is"]),
        ({"profile": "medium", "task": "aita", "posts": "nowhere"}, ["posts='nowhere'", "no such file"]),
        (
            {"profile": "medium", "task": "refusal", "requests": "nowhere"},
            ["requests='nowhere'", "no such file"],
        ),
        ({"learning_rate": float("nan")}, ["learning_rate"]),
    ],
)
def test_bad_input_is_named_with_its_value_and_the_way_out(values, words):
    with pytest.raises(SpecError) as error:
        make_spec(**values)
    assert all(w in str(error.value) for w in words)


def test_one_m0_serves_all_made_up_tasks_and_its_key_knows_no_other():
    assert (
        len({key(make_spec("tiny", task=t), "m0") for t in ("hint_qa", "aita", "refusal", "hint_qa+aita")})
        == 1
    )
    assert (
        len({key(make_spec("tiny", task=t), "base") for t in ("hint_qa", "aita", "refusal", "hint_qa+aita")})
        == 4
    )


def test_notebook_parameters_reject_what_the_spec_does_not_know():
    assert (
        notebooks.notebook_spec({"profile": "tiny", "rank": 8, "_x": 1, "run": object(), "In": []}).rank == 8
    )
    with pytest.raises(SpecError, match="'kl_wieght': did you mean 'kl_weight'"):
        notebooks.notebook_spec({"profile": "tiny", "kl_wieght": 0})


def test_given_says_just_what_differs_from_the_profile():
    other = make_spec("tiny", m0_seed=2, rank=8)
    assert specs.given(other, *specs.STAGES) == {"profile": "tiny", "m0_seed": 2, "rank": 8}
    assert make_spec(**specs.given(other, *specs.STAGES)) == other


def test_evaluations_hold_step_0_and_the_final_one():
    assert make_spec("tiny", steps=10, evaluations=3).evaluation_steps == [0, 3, 7, 10]


@pytest.mark.parametrize("name", specs.profile_names())
def test_every_profile_is_a_spec(name):
    assert make_spec(name).profile == name
