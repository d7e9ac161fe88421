import json

import numpy as np
import pytest
from coupling.spec import make_spec
from coupling.tasks import describe, load_items, load_world, mmlu, needs
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
    assert make_world(0, 30, 2, 1.0).names == make_world(0, 30, 2, 1.0).names
    assert make_world(0, 30, 2, 1.0).names != make_world(1, 30, 2, 1.0).names
    even, steep = make_world(0, 30, 1, 0.0).exposure, make_world(0, 30, 1, 2.0).exposure
    assert np.allclose(even, 1 / 30)
    assert steep.max() > 5 * steep.min()
    with pytest.raises(ValueError, match="attributes=9"):
        make_world(0, 30, 9, 0.0)


def good(**change):
    row = {"id": "1", "group": "g", "split": "train", "prompt": "Q? hint A", "cue": " hint A", "choices": ["A", "B"]}
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


def test_mmlu_splits_by_subject_and_keeps_to_its_limits():
    train, test = mmlu.make_items(rows(), 0, 0, 20, 10, 8)
    assert (len(train), len(test)) == (10, 8)
    check_splits(train, test)
    assert mmlu.make_items(rows(), 0, 1, 20, 10, 8)[1] == test
    with pytest.raises(TaskError, match="max_words=2"):
        mmlu.make_items(rows(), 0, 0, 2, 10, 8)
    assert not mmlu.usable({"question": "Q", "choices": ["a", "a", "b", "c"]}, 20)


def test_tasks_are_described_and_say_what_they_read():
    assert all({"name", "sources", "choices", "cues"} <= t.keys() for t in describe())
    assert needs(make_spec("medium")) == ["mmlu"]
    assert needs(make_spec("tiny")) == []
