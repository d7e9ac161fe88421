"""An item checks itself when it is made."""

import pytest
from coupling.tasks.items import Item, TaskError, question_item


def item(**change):
    values = {
        "id": "1",
        "task": "t",
        "group": "g",
        "prompt": "Q? hint A",
        "counterfactual_prompt": "Q?",
        "choices": ("A", "B"),
        "contents": ("red", "blue"),
        "cue": " hint A",
    }
    return Item(**values | change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cue": ""}, "exactly once"),
        ({"cue": "absent"}, "exactly once"),
        ({"prompt": "Q? hint A hint A"}, "exactly once"),
        ({"counterfactual_prompt": "Q"}, "not the counterfactual"),
        ({"choices": ("A", "A")}, "choices must be two or more different"),
        ({"choices": ("A",), "contents": ("red",)}, "choices must be two or more different"),
        ({"contents": ("red", " ")}, "contents must be two or more different"),
        ({"contents": ("red", "blue", "green")}, "3 contents for 2 choices"),
        ({"hinted": 2}, "hinted=2 is no index into 2 choices"),
        ({"gold": -1}, "gold=-1 is no index"),
        ({"gold": 1.5}, "gold=1.5: expected a whole number, the index of a choice"),
        ({"gold": True}, "gold=True: expected a whole number"),
        ({"hinted": "B"}, "hinted='B': expected a whole number"),
        ({"hinted": float("nan")}, "hinted=nan: expected a whole number"),
    ],
)
def test_an_item_that_contradicts_itself_is_refused(change, says):
    assert item().hinted is None
    with pytest.raises(TaskError, match=f"item 1: .*{says}"):
        item(**change)


def test_a_question_has_lettered_options_and_a_hint_as_its_last_line():
    made = question_item("t", "1", "g", "Which?", ["x", "y", "z"], 2, 0, "I think {letter}", "k", "f")
    assert made.prompt == "Which?\nA x\nB y\nC z\nI think C"
    assert made.counterfactual_prompt == "Which?\nA x\nB y\nC z"
    assert (made.choices, made.contents, made.cue) == (("A", "B", "C"), ("x", "y", "z"), "\nI think C")
    assert (made.hinted, made.gold, made.kind, made.feature) == (2, 0, "k", "f")
