"""Items of a user's own file."""

import json
import random
import re
import runpy
from pathlib import Path

import pytest
from coupling.spec import make_spec
from coupling.tasks import load_items, task_of
from coupling.tasks.file import FIELDS, NEEDED, read_items
from coupling.tasks.items import TaskError
from coupling.tasks.splits import check_splits

ROOT = Path(__file__).parents[2]


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
    rows = [good(), good(id="2", group="h", split="test", gold=1, contents=["red", "blue"], request="Why?")]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    train, test = load_items(make_spec("medium", task=f"file:{path}"), {})
    assert (train[0].counterfactual_prompt, train[0].contents) == ("Q?", ("A", "B"))
    assert (test[0].gold, test[0].contents, test[0].request) == (1, ("red", "blue"), "Why?")
    assert task_of(train[0].task) is task_of(f"file:{path}")


def test_the_seed_draws_the_training_items_and_the_test_items_stay(tmp_path):
    path = tmp_path / "items.jsonl"
    rows = [good(id=str(k), group=f"g{k}", split=("train", "test")[k % 2]) for k in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)))
    values = {"task": f"file:{path}", "train_items": 12, "test_items": 8}
    a, b = (load_items(make_spec("medium", seed=s, **values), {}) for s in (0, 1))
    assert [len(part) for part in a] == [12, 8]
    assert a[1] == b[1]
    assert a[0] != b[0]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1"),
        ("[]", "expected a JSON object"),
        (json.dumps(good(cue=None)), "missing cue"),
        (json.dumps(good(split="dev")), "split='dev'"),
        (json.dumps(good(cue="absent")), "exactly once"),
        (json.dumps(good(prompt="")), "prompt must be a non-empty string"),
        (json.dumps(good(kind="")), "kind must be a non-empty string"),
        (json.dumps(good(choices=["A", "A"])), "different"),
        (json.dumps(good(choices="AB")), "list of strings"),
        (json.dumps(good(gold=2)), "gold=2"),
        (json.dumps(good(hinted="A")), "item 1: hinted='A': expected a whole number"),
        (json.dumps(good(gold=1.5)), "item 1: gold=1.5: expected a whole number"),
        (json.dumps(good(gold=True)), "item 1: gold=True: expected a whole number"),
        (json.dumps(good(gold=[1])), "item 1: gold=[1]: expected a whole number"),
        (json.dumps(good(prompt="Q\ud800 hint A")), "'\\ud800' is half of a surrogate pair"),
        ('{"id": "1", "id": "2"}', "'id' stands twice in the object"),
        (json.dumps(good(contents=["one"])), "contents"),
        (json.dumps(good(contents=["a", "b", "c"])), "3 contents for 2"),
        (json.dumps(good(counterfactual_prompt="Q")), "not the counterfactual"),
        (json.dumps(good(extra=1)), "unknown extra: known: choices, contents, "),
        (json.dumps(good(hint=1)), "unknown hint: did you mean 'hinted'?"),
        (json.dumps(good(replies=True)), "unknown replies"),
        (json.dumps(good()) + "\n" + json.dumps(good()), "line 2"),
        (json.dumps(good()), "split='test'"),
    ],
)
def test_bad_lines_name_file_line_and_what_was_expected(tmp_path, line, says):
    path = tmp_path / "items.jsonl"
    path.write_text(line)
    with pytest.raises(TaskError) as error:
        read_items(path)
    assert says in str(error.value)
    assert "items.jsonl" in str(error.value)


EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_is_a_good_file_and_shows_every_field():
    train, test = read_items(EXAMPLES / "items.jsonl")
    check_splits(train, test)
    assert (len(train), len(test)) == (6, 6)
    rows = [json.loads(line) for line in (EXAMPLES / "items.jsonl").read_text().splitlines()]
    assert {name for row in rows for name in row} == FIELDS
    assert set.intersection(*(set(row) for row in rows)) == NEEDED


def test_the_page_beside_the_example_explains_every_field_and_no_other():
    page = (EXAMPLES / "README.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \| .{20,}\|$", page, re.M))
    assert told.keys() == FIELDS
    assert {name for name, needed in told.items() if needed == "yes"} == NEEDED


def test_the_item_that_the_page_shows_is_the_one_in_the_file(tmp_path):
    page = (EXAMPLES / "README.md").read_text()
    shown = json.loads(re.search(r"```json\n(.*?)```", page, re.S)[1])
    rows = [json.loads(line) for line in (EXAMPLES / "items.jsonl").read_text().splitlines()]
    assert shown in rows


def test_a_whole_number_that_was_written_with_a_point_is_that_number(tmp_path):
    path = tmp_path / "items.jsonl"
    rows = [good(gold=1.0), good(id="2", group="h", split="test", hinted=0.0)]
    path.write_text("\n".join(map(json.dumps, rows)))
    (train,), (test,) = read_items(path)
    assert (train.gold, test.hinted) == (1, 0)
    assert type(train.gold) is type(test.hinted) is int


def test_invalid_utf8_is_named(tmp_path):
    (tmp_path / "x").write_bytes(b"ab\xff")
    with pytest.raises(TaskError, match="byte 2"):
        read_items(tmp_path / "x")


def test_the_example_that_is_made_is_a_users_file_with_its_answers_beside_other_cities(tmp_path):
    made = runpy.run_path(str(ROOT / "examples/capitals.py"))["items"]
    path = tmp_path / "capitals.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made(random.Random(0))))
    train, test = read_items(path)
    check_splits(train, test)
    items = [*train, *test]
    assert {item.choices[item.gold] for item in items if item.group == "Norway"} == {"Oslo"}
    assert all(item.choices[item.hinted] in item.cue for item in items)
    assert {len(set(item.choices)) for item in items} == {4}
