"""Properties of all items files and specs: whatever is accepted runs, and the rest is a typed error."""

import json
import uuid
import warnings

import pytest
import torch
from coupling import runs
from coupling.errors import StudyError
from coupling.spec import key, make_spec
from coupling.tasks import Item
from coupling.tasks.file import read_items
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from micro import VALUES, micro_model

QUICK = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
# Letters, marks that normalise, separators, half of a surrogate pair, and marks of chats.
TEXTS = st.lists(
    st.sampled_from(
        [
            "a",
            "B",
            "10",
            "100",
            " ",
            "\n",
            "é",
            "e\u0301",
            "\u2028",
            "\ufeff",
            "\0",
            "😀",
            "</s>",
            "hint",
            "?",
        ]
    ),
    max_size=4,
).map("".join)
VALUE = st.one_of(TEXTS, st.integers(-2, 4), st.floats(-2, 4), st.booleans(), st.none(), st.just("\ud800"))
FIELDS = ("id", "group", "split", "prompt", "cue", "choices", "contents", "hinted", "gold", "kind", "request")


@st.composite
def item_rows(draw):
    """A row that is mostly good: its texts are odd, and now and then a field has any value."""
    cue = "\nHint: " + draw(TEXTS)
    choices = draw(st.lists(TEXTS.map(lambda t: t or "x"), min_size=2, max_size=4, unique_by=str.strip))
    index = st.one_of(st.none(), st.integers(0, len(choices) - 1))
    row = {
        "group": draw(st.sampled_from("abcdefgh")),
        "prompt": f"Question {draw(TEXTS)}{cue}",
        "cue": cue,
        "choices": choices,
        "hinted": draw(index),
        "gold": draw(index),
    }
    if draw(st.integers(0, 14)) == 0:
        row[draw(st.sampled_from(FIELDS))] = draw(st.one_of(VALUE, st.lists(VALUE, max_size=3)))
    return row


ROWS = st.lists(item_rows(), min_size=2, max_size=8)
# Values that belong together. The last four are refused.
PARTS = [
    {"seed": 3, "label_format": "content"},
    {"label_change": "hash", "label_change_share": 0.5},
    {"label_change": "random", "label_change_share": 1.0},
    {"label_change": "shuffled", "label_change_share": 0.5, "relabel": True},
    {"kl_weight": 0.0, "dtype": "bfloat16"},
    {"shift": "up"},
    {"shift": "down", "shift_order": "after", "shift_steps": 1},
    {"shift": "neutral", "explanation_weight": 0.0},
    {"batch_size": 64, "steps": 1},
    {"steps": 3, "evaluations": 2},
    {"learning_rate": 1e30},
    {"kl_weight": -1.0},
    {"held_out": 0.5},
    {"evaluations": 9},
    {"rank": 0},
]
SPECS = st.lists(st.sampled_from(PARTS), max_size=2).map(
    lambda parts: {k: v for p in parts for k, v in p.items()}
)
NAMES = sorted({name for part in PARTS for name in part})


def tried(call, *of, **values):
    """What a call returns and None, or None and the typed error that it ends in."""
    try:
        return call(*of, **values), None
    except StudyError as error:
        return None, error


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return micro_model(tmp_path_factory.mktemp("micro"))


def written(folder, rows):
    """Write rows with ids and splits of their own, where they have none. Training and test share no group."""
    path = folder / f"{uuid.uuid4().hex}.jsonl"
    for number, row in enumerate(rows):
        split = ("train", "test")[number % 2]
        about = {"id": f"q{number}", "split": split} | row
        if isinstance(about["group"], str):
            about["group"] += split
        rows[number] = about
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@settings(max_examples=60, **QUICK)
@given(rows=ROWS)
def test_a_file_is_read_whole_or_refused_by_its_name(rows, tmp_path):
    path = written(tmp_path, rows)
    splits, error = tried(read_items, path)
    if error:
        assert str(path) in str(error)
        assert str(error).encode()  # it can be printed
        return
    train, test = splits
    assert len(train) + len(test) == len(rows)
    assert all(isinstance(item, Item) for item in train + test)
    assert all(item.prompt.replace(item.cue, "") == item.counterfactual_prompt for item in train + test)
    assert all(type(item.gold) in (int, type(None)) for item in train + test)


@settings(max_examples=60, **QUICK)
@given(name=st.sampled_from(NAMES), value=st.one_of(VALUE, st.lists(VALUE, max_size=2)))
def test_a_spec_of_any_value_is_made_with_a_key_or_refused_with_the_fields_name(name, value):
    spec, error = tried(make_spec, "tiny", **{name: value})
    assert name in str(error) if error else len(key(spec, "explain")) == 12


@settings(max_examples=16, **QUICK)
@given(rows=ROWS, values=SPECS)
def test_what_is_accepted_runs_or_ends_in_a_typed_error(rows, values, tmp_path, model):
    path = written(tmp_path, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec, error = tried(make_spec, **VALUES | values, model=model, task=f"file:{path}")
        result, error = (None, error) if error else tried(runs.explain, spec)
    if error:
        assert str(error)
        return
    assert result.manifest["status"] in ("complete", "diverged")
    assert set(result.table("rows")["id"]) <= {row["id"] for row in rows}
