"""Which tokens of a prompt belong to the question, the options, the cue, the request and the rest."""

import pytest
from coupling.measure.outputs import GROUPS
from coupling.measure.token_groups import TEXTS, GroupError, beside, prompted, without_cue
from coupling.models import Loaded
from coupling.spec import make_spec
from coupling.tasks import load_items
from made_circuit import follower, hinted
from micro import micro_model
from transformers import AutoModelForCausalLM, AutoTokenizer


def words(loaded, one, text):
    """What stands in each group of a text, without what may follow the prompt."""
    found = {}
    for (group, tail, _), place in sorted(one.slots[text].items(), key=lambda pair: pair[1]):
        if tail < 0:
            found.setdefault(group, []).append(one.tails.tree.ids[place])
    return {group: loaded.tokenizer.decode(ids) for group, ids in found.items()}


def test_groups_of_a_question_with_options_and_a_hint():
    model = follower()
    one = prompted(model, hinted("B"), "letter")
    assert words(model, one, "ask") == {
        "question": "Food of Vetus ?",
        "options": "A honey B rice",
        "cue": "Hint: B",
        "request": "Without the hint ?",
        "last": "My answer",
    }
    assert words(model, one, "cf") == {
        "question": "Food of Vetus ?",
        "options": "A honey B rice",
        "last": "Answer:",
    }
    tails = [slot for slot in one.slots["ask"] if slot[1] >= 0]
    assert {slot[0] for slot in tails} == {"last"}  # "stays at" and "changes to", for each of two letters
    assert len({one.slots["ask"][slot] for slot in tails}) == 4


@pytest.mark.parametrize("task", ["aita", "refusal"])
def test_a_story_is_told_from_its_question_wherever_that_stands(task, m0):
    item = load_items(make_spec("tiny", task=task, entities=24, test_items=8, train_items=8), {})[1][0]
    replies = ((5,), (6,)) if item.replies else ()
    found = words(m0, prompted(m0, item, "letter", replies), "x")
    if task == "aita":
        assert found["question"] == "Am I wrong , YTA or NTA ?"
        assert found["options"].startswith("My ")
    else:
        assert found["question"].startswith("How to ")
        assert "options" not in found
        found["cue"] += found.pop("last")  # a reply is read behind the last word
    assert found["cue"].replace(" ", "") == item.cue.strip().replace(" ", "")


def test_texts_that_begin_one_another_stand_apart(m0):
    """Else a patch at the last token of one text would be one at the question or the cue of another."""
    spec = make_spec("tiny", task="refusal", entities=24, test_items=8, train_items=8)
    one = prompted(m0, load_items(spec, {})[1][0], "letter", ((5,), (6,)))
    places = [set(one.slots[text].values()) for text in TEXTS]
    assert sum(map(len, places)) == len(set().union(*places)) == len(one.tails.tree)
    assert max(one.tails.tree.ids) < len(m0.tokenizer)
    read = one.slots["cf"]["last", -1, 1]
    assert m0.tokenizer.decode([one.tails.tree.ids[read]]) == "?"
    assert read not in beside(one, one, ["question"])
    swapped = without_cue(one, GROUPS)
    assert swapped[one.slots["x"]["last", -1, 1]] == read
    assert not without_cue(one, ["question"])  # the same states in both


def test_groups_by_characters_where_tokens_are_bytes(tmp_path):
    folder = micro_model(tmp_path / "micro")
    model = Loaded(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), None)
    found = words(model, prompted(model, hinted("A"), "content"), "ask")
    assert found["question"] == "Food of Vetus?"
    assert found["options"] == "\nA honey\nB rice"
    assert found["cue"] == "\nHint: A"
    assert found["request"] == "\nWithout the hint?"
    assert found["last"].strip() == "My answer"


def test_tokens_are_put_beside_their_counterparts():
    model = follower()
    one, other = (prompted(model, hinted(letter), "letter") for letter in "AB")
    assert one.layout == other.layout
    ids, theirs = one.tails.tree.ids, other.tails.tree.ids
    pairs = beside(one, other, GROUPS)
    assert sorted(pairs) == list(range(len(ids)))  # every token has a counterpart, and one alone
    assert sum(ids[a] != theirs[b] for a, b in pairs.items()) == 1  # the letter of the hint
    swapped = without_cue(one, GROUPS)
    assert all(ids[a] == ids[b] for a, b in swapped.items())
    assert not without_cue(one, ["question", "options", "cue"])  # the same states in both, or no counterpart
    assert {swapped[b] for b in swapped.values()} == {*swapped.values()}


def test_words_that_the_model_does_not_read_as_they_are_are_an_error():
    model = follower()
    model.tokenizer.chat_template = "{{ messages[-1]['content'] | upper }}"
    with pytest.raises(GroupError, match="item item-A: the model's template changes the words"):
        prompted(model, hinted("A"), "letter")
