"""Building specifications: profiles, wrong input, and the shortest way to say a specification."""

import numpy as np
import pytest
from coupling.spec import STAGES, Spec, SpecError, given, make_spec, profile_names, read_profile


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kl_wieght": 0}, ["kl_wieght", "kl_weight"]),
        ({"task": "hint_qaa"}, ["hint_qaa", "hint_qa"]),
        ({"learning_rate": -1e-3}, ["learning_rate", "-0.001", "greater than 0"]),
        ({"learning_rate": float("nan")}, ["learning_rate"]),
        ({"rank": 0}, ["rank", "0", "greater than or equal to 1"]),
        ({"task": "file:/nowhere/items.jsonl"}, ["/nowhere/items.jsonl"]),
        ({"profile": "medium", "task": "file:/nowhere/items.jsonl"}, ["/nowhere/items.jsonl", "JSONL"]),
        ({"profile": "tinny"}, ["tinny", "tiny"]),
        ({"profile": "../profiles/tiny"}, ["unknown profile '../profiles/tiny'", "tiny"]),
        ({"threads": 100_000}, ["threads", "100000", "less than or equal to 256"]),
        ({"task": "mmlu"}, ["organism", "mmlu", "real model"]),
        ({"m0_steps": 0}, ["m0_steps=0", "organism"]),
        ({"m0_checkpoint": 0.5, "m0_checkpoint_every": 0}, ["m0_checkpoint=0.5", "m0_checkpoint_every"]),
        ({"evaluations": 700}, ["evaluations=700", "steps=600"]),
        ({"task": "hint_qa+hint_qa"}, ["stands twice"]),
        ({"task": "hint_qa+aitta"}, ["aitta", "aita"]),
        ({"teach": "jabberwock"}, ["unknown teach", "jabberwocky"]),
        ({"teach": "refusal"}, ["teach=refusal", "take one of", "jabberwocky"]),
        ({"teach": "mmlu"}, ["teach=mmlu", "take one of"]),
        ({"attributes": 5}, ["attributes=5", "4"]),
        ({"entities": 200_000}, ["entities=200000", "50000"]),
        ({"task": "jabberwocky", "teach": "jabberwocky"}, ["teach=jabberwocky"]),
        ({"explanation_weight": 0}, ["explanation_weight=0"]),
        ({"held_out": 0.5}, ["held_out=0.5", "hint_qa", "attributes"]),
        ({"task": "aita", "kl_kinds": "all"}, ["kl_kinds=all", "held_out=0.0"]),
        (
            {"task": "aita", "kl_kinds": "all", "held_out": 0.5, "kl_weight": 0.0},
            ["kl_kinds=all", "kl_weight=0.0"],
        ),
        ({"m0_taught_by": "organism"}, ["m0_taught_by=organism with model=organism"]),
        ({"m0_taught_by": "gpt"}, ["m0_taught_by='gpt'", "organism-qwen"]),
        (
            {"m0_taught_by": "organism-qwen", "m0_checkpoint": 0.5, "m0_checkpoint_every": 5},
            ["m0_checkpoint=0.5 with m0_taught_by=organism-qwen"],
        ),
        (
            {"shift": "up", "shift_order": "after", "shift_steps": 9, "shift_adapter": "own", "explainer": 1},
            ["shift_adapter=own with explainer=1"],
        ),
        ({"m0_tasks": "mmlu"}, ["m0_tasks=mmlu", "hint_qa"]),
        ({"system": "Be brief"}, ["system='Be brief'", "taken as it is"]),
        ({"label_change": "hash"}, ["label_change=hash", "label_change_share=0"]),
        ({"source_share": 0.5}, ["source_share=0.5", "give source"]),
        ({"source": "rank=8"}, ["source='rank=8'", "no field=value of an M0"]),
        ({"seed": True}, ["seed=True", "no switch"]),
        ({"seed": [3]}, ["seed=[3]"]),
        ({"source": "m0_seed"}, ["source='m0_seed'", "no field=value of an M0"]),
        ({"source": "m0_seed=-1"}, ["source='m0_seed=-1'", "m0_seed", "greater than or equal to 0"]),
        ({"profile": "medium", "task": "aita", "posts": "nowhere"}, ["posts='nowhere'", "no such file"]),
        (
            {"profile": "medium", "task": "aita", "posts": "sha256:12"},
            ["posts='sha256:12'", "64 hexadecimal"],
        ),
        (
            {"profile": "medium", "task": "refusal", "requests": "nowhere"},
            ["requests='nowhere'", "no such file"],
        ),
    ],
)
def test_bad_input_is_named_with_its_value_and_the_way_out(values, words):
    with pytest.raises(SpecError) as error:
        make_spec(**values)
    assert [word for word in words if word not in str(error.value)] == []


def test_numpy_scalars_and_paths_are_taken_for_what_they_are(tmp_path):
    items = tmp_path / "items.jsonl"
    items.write_text("")
    spec = make_spec(np.str_("medium"), task=items, seed=np.int64(3), kl_weight=np.float32(0.5))
    assert (spec.task, spec.seed, spec.kl_weight) == (f"file:{items}", 3, 0.5)
    assert make_spec(relabel=np.bool_(True)).relabel is True
    with pytest.raises(SpecError, match="seed=True"):
        make_spec(seed=np.bool_(True))


def test_a_specification_can_be_read_where_its_files_are_missing():
    assert Spec(m0_steps=1, task="aita", posts="nowhere.jsonl", model="some/model").posts == "nowhere.jsonl"


def test_given_says_what_differs_from_the_profile_alone():
    other = make_spec("tiny", m0_seed=2, rank=8)
    assert given(other, *STAGES) == {"profile": "tiny", "m0_seed": 2, "rank": 8}
    assert given(other, "m0") == {"profile": "tiny", "m0_seed": 2}
    assert make_spec(**given(other, *STAGES)) == other


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_a_specification_and_gives_no_profile_name_itself(name):
    assert make_spec(name).profile == name
    assert "profile" not in read_profile(name)
