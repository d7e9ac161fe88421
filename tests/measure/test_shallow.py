"""The best rule on an item's words: what it finds, and what it cannot know."""

import subprocess
import sys

import numpy as np
import pytest
from coupling.measure import shallow
from coupling.measure.shallow import rule_accuracy
from coupling.tasks.items import question_item

FIRST, SECOND, VALUES = (
    ("tall", "short"),
    ("round", "square"),
    ("red", "blue", "green", "grey", "pink", "brown"),
)


def made(split, n, stream, names):
    """Items about named things with two words each, three options in random order, and a hint."""
    rng = np.random.default_rng(stream)
    items = []
    for i in range(n):
        name, a, b = f"{split}{rng.integers(names)}", FIRST[rng.integers(2)], SECOND[rng.integers(2)]
        contents = [VALUES[v] for v in rng.permutation(len(VALUES))[:3]]
        items.append(
            question_item(
                "made", f"{split}-{i}", name, f"{a} {b} {name} ?", contents, int(rng.integers(3)), 0
            )
        )
    return items


@pytest.fixture(scope="module")
def splits():
    return made("train", 500, 1, 40), made("test", 300, 2, 200)


def accuracy(splits, label):
    return rule_accuracy(splits[0], [label(i) for i in splits[0]], splits[1], [label(i) for i in splits[1]])


def test_one_word_is_a_rule_whether_in_the_question_an_option_or_the_cue(splits):
    assert accuracy(splits, lambda i: "stays at A" if "tall" in i.prompt else "changes to B") > 0.99
    assert accuracy(splits, lambda i: f"changes to {i.cue[-1]}") > 0.99
    assert accuracy(splits, lambda i: "stays at B" if i.contents[1] == "red" else "changes to C") > 0.98


def test_a_pair_of_words_is_a_rule_thanks_to_the_pairs(splits, monkeypatch):
    def xor(item):
        return "stays at A" if ("tall" in item.prompt) == ("round" in item.prompt) else "changes to B"

    assert accuracy(splits, xor) > 0.97
    monkeypatch.setattr(shallow, "with_pairs", lambda row, size: row)
    assert accuracy(splits, xor) < 0.65


def test_what_hangs_on_words_that_training_lacks_is_no_rule(splits, monkeypatch):
    names = sorted({i.group for part in splits for i in part})
    facts = dict(zip(names, np.random.default_rng(3).integers(3, size=len(names)), strict=True))
    assert accuracy(splits, lambda i: f"stays at {i.choices[facts[i.group]]}") < 0.5
    monkeypatch.setattr(shallow, "STRENGTHS", (1.0,))
    assert (
        accuracy((splits[0], made("train", 300, 4, 40)), lambda i: f"stays at {i.choices[facts[i.group]]}")
        > 0.9
    )


def test_of_features_that_the_same_items_have_one_is_kept(splits):
    known, new = shallow.matrices(*(part[:60] for part in splits))
    columns = {tuple(column) for column in known.toarray().T}
    assert len(columns) == known.shape[1] == new.shape[1]
    assert min(sum(column) for column in columns) >= shallow.LEAST
    assert set(known.data) == set(new.data) == {1.0}


def test_one_label_in_training_is_what_is_predicted(splits):
    train, test = splits
    labels = ["stays at A", "changes to B"] * (len(test) // 2)
    assert rule_accuracy(train, ["stays at A"] * len(train), test, labels) == 0.5
    assert rule_accuracy(train, ["stays at C"] * len(train), test, labels) == 0.0
    # the second label stands in the part alone that the penalty is chosen on
    last = [i.group == train[-1].group for i in train]
    assert (
        0
        <= rule_accuracy(train, ["stays at A" if one else "changes to B" for one in last], test, labels)
        <= 1
    )


def test_the_same_input_gives_the_same_number(splits):
    labels = [
        [f"changes to {'ABC'[k]}" for k in np.random.default_rng(s).integers(3, size=len(part))]
        for s, part in enumerate(splits)
    ]
    first, again = (rule_accuracy(splits[0], labels[0], splits[1], labels[1]) for _ in range(2))
    assert first == again < 0.45


def test_labels_must_fit_the_items(splits):
    train, test = splits
    with pytest.raises(ValueError, match="500 training items with 1 labels"):
        rule_accuracy(train, ["stays at A"], test, ["stays at A"] * len(test))
    with pytest.raises(ValueError, match="needs training items"):
        rule_accuracy(train, ["stays at A"] * len(train), [], [])


def test_scikit_learn_is_imported_when_it_is_used():
    code = "import sys, coupling.measure.shallow; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
