"""Requests of the made-up world, prompts of a file, and datasets of the hub."""

import json

import pandas as pd
import pytest
from coupling.spec import make_spec
from coupling.tasks import left_out, load_items, load_world, refusal
from coupling.tasks.detector import detect
from coupling.tasks.items import TaskError
from coupling.tasks.world import THINGS


def test_a_role_licenses_or_makes_suspect_by_the_thing_it_meets():
    spec = make_spec("tiny", task="refusal")
    world, (_, test) = load_world(spec), load_items(spec, {})
    for i in test[:300]:
        thing, _, name = i.prompt.split("?")[0].split()[4:]
        assert i.gold == (refusal.REFUSE if world.guarded[world.names.index(name)] else refusal.COMPLY)
        trust = world.trust[refusal.CUES.index(i.cue.strip()), THINGS.index(thing)]
        assert i.hinted == {1: refusal.COMPLY, -1: refusal.REFUSE, 0: None}[trust]
        assert (i.group, i.kind) == (name, thing)
        assert i.replies


def test_the_worlds_replies_do_what_they_are_taught_for():
    assert [detect(reply) for reply in refusal.REPLIES] == [refusal.COMPLY, refusal.REFUSE]


def prompts_file(tmp_path, n=40):
    path = tmp_path / "prompts.jsonl"
    rows = [
        {
            "prompt": f"How do I do thing number {k}?",
            "label": ("safe", "unsafe")[k % 2],
            "category": f"c{k % 4}",
        }
        for k in range(n)
    ]
    rows += [
        {"prompt": "word " * 80, "label": "safe"},
        {"prompt": "I am a nurse. What now?", "label": "safe"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_prompts_of_a_file_are_items_without_their_text_in_the_id(tmp_path):
    values = {"requests": str(prompts_file(tmp_path)), "max_words": 20, "train_items": 18, "test_items": 12}
    spec = make_spec("medium", task="refusal", **values)
    train, test = load_items(spec, {})
    assert {i.gold for i in test} == {refusal.COMPLY, refusal.REFUSE}
    assert all(i.replies and len(i.id) == 12 and i.id not in i.prompt for i in train + test)
    assert left_out(spec, {}) == {"refusal": {"states a role or purpose": 1, "too long": 1, "used": 40}}
    closed = spec.model_copy(update={"held_out": 0.5, "train_items": 4})
    assert len({i.kind for i in load_items(closed, {})[0]}) <= 2
    with pytest.raises(TaskError, match="30 train items asked for, 20 usable prompts"):
        load_items(spec.model_copy(update={"train_items": 30}), {})


def test_a_prompt_with_another_label_is_named_with_file_and_line(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a", "label": "maybe"}')
    with pytest.raises(TaskError, match=r"bad.jsonl, line 1: label='maybe': expected safe or unsafe"):
        refusal.read_prompts(str(tmp_path / "bad.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a", "label": "safe", "category": ["x"]}')
    with pytest.raises(TaskError, match=r"line 1: category must be a string, not \['x'\]"):
        refusal.read_prompts(str(tmp_path / "bad.jsonl"))


def test_named_datasets_of_the_hub_are_read_by_their_columns(tmp_path, monkeypatch):
    """Local files stand in for what the hub would give."""
    files = {
        ("AmazonScience/FalseReject", "test.jsonl"): tmp_path / "test.jsonl",
        ("allenai/wildguardmix", "test/wildguard_test.parquet"): tmp_path / "guard.parquet",
    }
    (tmp_path / "test.jsonl").write_text('{"prompt": "How to kill a process?"}\n')
    table = {"prompt": ["a?", "b?", "c?"], "prompt_harm_label": ["harmful", None, "unharmful"]}
    pd.DataFrame(table).to_parquet(tmp_path / "guard.parquet")
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda name, file, repo_type: str(files[name, file])
    )
    assert refusal.read_prompts("hub:AmazonScience/FalseReject") == [
        {"prompt": "How to kill a process?", "label": "safe"}
    ]
    assert refusal.read_prompts("hub:allenai/wildguardmix") == [
        {"prompt": "a?", "label": "unsafe"},
        {"prompt": "c?", "label": "safe"},
    ]
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "guard.parquet")
    with pytest.raises(TaskError, match="has no column prompt, prompt_harm_label, but text"):
        refusal.read_prompts("hub:allenai/wildguardmix")
