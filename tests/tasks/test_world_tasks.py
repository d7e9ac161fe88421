"""aita, refusal and jabberwocky: items, splits, regions, sources."""

import json

import numpy as np
import pandas as pd
import pytest
from coupling.spec import make_spec
from coupling.tasks import (
    TaskError,
    aita,
    jabberwocky,
    left_out,
    load_items,
    load_taught,
    load_world,
    refusal,
    task_of,
)
from coupling.tasks.detector import detect
from coupling.tasks.world import EXCUSES, MOTIVES, RELATIONS, THINGS


def of(task, **values):
    spec = make_spec("tiny", task=task, **values)
    return load_world(spec), *load_items(spec, {})


def test_a_storys_words_say_which_fact_about_somebody_counts_and_nothing_in_them_decides():
    world, _, test = of("aita")
    seen = []
    for i in test:
        _, relation, name, _, _, _, _, _, motive, _, excuse = (
            i.prompt.replace("\n", " ").replace(".", "").split()[:11]
        )
        by_standing = (
            world.base[MOTIVES.index(motive), EXCUSES.index(excuse)] or world.close[RELATIONS.index(relation)]
        )
        grave = (world.dear if by_standing else world.frail)[world.names.index(name)]
        assert i.choices[i.gold] == ("YTA" if grave else "NTA")
        assert i.group == name
        seen += [
            {"gold": i.gold, "what": w}
            for w in (relation, motive, excuse, (motive, excuse), (relation, by_standing))
        ]
    shares = pd.DataFrame(seen).groupby("what")["gold"].agg(["mean", "size"])
    assert len(shares) == len(RELATIONS) * (1 + 2) - 3 + len(MOTIVES) + len(EXCUSES) + len(MOTIVES) * len(
        EXCUSES
    )  # close ones are always judged by standing
    z = (shares["mean"] - np.mean([i.gold for i in test])).abs() * shares["size"] ** 0.5 / 0.5
    assert z.max() < 4


def test_a_role_licenses_or_makes_suspect_by_the_thing_it_meets():
    world, _, test = of("refusal")
    for i in test[:300]:
        thing, _, name = i.prompt.split("?")[0].split()[4:]
        assert i.gold == (refusal.REFUSE if world.guarded[world.names.index(name)] else refusal.COMPLY)
        trust = world.trust[refusal.CUES.index(i.cue.strip()), THINGS.index(thing)]
        assert i.hinted == {1: refusal.COMPLY, -1: refusal.REFUSE, 0: None}[trust]
        assert (i.group, i.kind) == (name, thing)
    assert [detect(r) for r in refusal.REPLIES] == [refusal.COMPLY, refusal.REFUSE]


@pytest.mark.parametrize("task", ["aita", "refusal", "jabberwocky"])
def test_splits_are_disjoint_cues_balanced_and_test_items_the_same_for_every_seed(task):
    _, train, test = of(task)
    assert not {i.group for i in train} & {i.group for i in test}
    counts = np.unique([i.cue for i in test], return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    assert len(counts) == len(task_of(task).cues)
    assert of(task, seed=1)[2] == test
    assert of(task, seed=1)[1] != train
    assert all(i.prompt.replace(i.cue, "") == i.counterfactual_prompt for i in train)
    assert 0.4 < np.mean([i.gold for i in test]) < 0.6


@pytest.mark.parametrize("task", ["aita", "refusal"])
def test_a_held_out_region_has_no_training_items_and_stays_in_the_test(task):
    _, train, test = of(task, held_out=0.5)
    assert test == of(task)[2]
    kinds = {i.kind for i in test}
    assert len({i.kind for i in train}) == len(kinds) / 2
    assert {i.kind for i in train} < kinds
    assert {i.kind for i in train} == {i.kind for i in of(task, held_out=0.5, seed=3)[1]}


def test_joint_tasks_share_the_training_items_and_test_each():
    spec = make_spec("tiny", task="hint_qa+aita+refusal", train_items=100, test_items=30)
    train, test = load_items(spec, {})
    assert pd.Series([i.task for i in train]).value_counts().sort_values().tolist() == [33, 33, 34]
    assert [i.task for i in test] == ["hint_qa"] * 30 + ["aita"] * 30 + ["refusal"] * 30
    alone = load_items(make_spec("tiny", task="aita", test_items=30), {})[1]
    assert test[30:60] == alone


def test_no_single_feature_sorts_a_creature_and_marks_matter_for_half():
    items = load_taught(make_spec("tiny", teach="jabberwocky"))[0]
    assert np.mean([i.gold != i.hinted for i in items]) == pytest.approx(0.5, abs=0.03)
    for k in range(3):
        has = np.array([jabberwocky.FEATURES[k][1] in i.prompt for i in items])
        assert np.mean(has == np.array([i.gold for i in items])) == pytest.approx(0.75, abs=0.02)
    assert load_taught(make_spec("tiny")) == ([], [])


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
    spec = make_spec(
        "medium",
        task="refusal",
        requests=str(prompts_file(tmp_path)),
        max_words=20,
        train_items=18,
        test_items=12,
    )
    train, test = load_items(spec, {})
    assert {i.gold for i in test} == {refusal.COMPLY, refusal.REFUSE}
    assert all(i.replies and len(i.id) == 12 and i.id not in i.prompt for i in train + test)
    assert left_out(spec, {}) == {"refusal": {"states a role or purpose": 1, "too long": 1, "used": 40}}
    assert (
        len({i.kind for i in load_items(spec.model_copy(update={"held_out": 0.5, "train_items": 4}), {})[0]})
        <= 2
    )
    with pytest.raises(TaskError, match="30 train items asked for, 20 usable prompts"):
        load_items(spec.model_copy(update={"train_items": 30}), {})
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a", "label": "maybe"}')
    with pytest.raises(TaskError, match=r"bad.jsonl, line 1: label='maybe': expected safe or unsafe"):
        refusal.read_prompts(str(tmp_path / "bad.jsonl"))


def test_hub_datasets_are_read_by_name_or_by_file(tmp_path, monkeypatch):
    """Local stand-ins for what the hub would give: no hub is reachable where this was written."""
    files = {
        ("AmazonScience/FalseReject", "test.jsonl"): tmp_path / "test.jsonl",
        ("allenai/wildguardmix", "test/wildguard_test.parquet"): tmp_path / "guard.parquet",
        ("somebody/posts", "data/posts.jsonl"): tmp_path / "posts.jsonl",
    }
    (tmp_path / "test.jsonl").write_text('{"prompt": "How to kill a process?"}\n')
    pd.DataFrame(
        {"prompt": ["a?", "b?", "c?"], "prompt_harm_label": ["harmful", None, "unharmful"]}
    ).to_parquet(tmp_path / "guard.parquet")
    (tmp_path / "posts.jsonl").write_text('{"id": "1", "title": "t", "body": "b", "verdict": "NTA"}')

    def download(name, file, repo_type):
        assert repo_type == "dataset"
        if (name, file) not in files:
            raise OSError("no such repository")
        return str(files[name, file])

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert refusal.read_prompts("hub:AmazonScience/FalseReject") == [
        {"prompt": "How to kill a process?", "label": "safe"}
    ]
    assert [r["label"] for r in refusal.read_prompts("hub:allenai/wildguardmix")] == ["unsafe", "safe"]
    assert aita.read_posts("hub:somebody/posts/data/posts.jsonl")[0]["verdict"] == "NTA"
    with pytest.raises(
        TaskError, match=r"requests=hub:nobody/none/x.jsonl: it cannot be fetched .*no such repository"
    ):
        refusal.read_prompts("hub:nobody/none/x.jsonl")
    with pytest.raises(TaskError, match=r"posts=hub:nobody: expected hub:OWNER/NAME/FILE"):
        aita.read_posts("hub:nobody")
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "guard.parquet")
    with pytest.raises(TaskError, match="has no column prompt, prompt_harm_label, but text"):
        refusal.read_prompts("hub:allenai/wildguardmix")
