"""The check before a run: what it refuses by item, what it warns of, and what it counts."""

import dataclasses

import pytest
from coupling.measure.checking import SHOWN, CheckError, check
from coupling.measure.wording import WORDINGS
from coupling.models.adapter import adapter_share
from coupling.models.organism import make_tokenizer
from made_models import build, experts
from tokenizers import normalizers

BOTH = ("letter", "content")


def test_what_is_well_is_counted(m0, items):
    found = check(m0, items[1], BOTH)
    contents = {text for item in items[1] for text in item.contents}
    assert (found.items, found.labels, found.altered) == (24, 2 * (4 + len(contents)), 0)
    assert found.positions == 2048
    assert 20 < found.longest < 40
    assert found.adapter_share > 0.9
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("contents", "named"),
    [
        (("red", "RED", "blue", "green"), r"'stays at red' and 'stays at RED'.*one text"),
        (("red", "blue grey", "blue  grey", "green"), r"'stays at blue grey' and 'stays at blue  grey'"),
        (("red", "blue", "green", "xyzzy"), r"does not know all of 'stays at xyzzy'"),
    ],
)
def test_labels_that_the_tokenizer_cannot_tell_apart_are_refused_by_item(m0, items, contents, named):
    known = [*WORDINGS, "a b c d red blue grey green", items[1][3].prompt, items[1][3].request, "Answer:"]
    m0.tokenizer = make_tokenizer([text.lower() for text in known])
    m0.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    wrong = dataclasses.replace(items[1][3], contents=contents)
    with pytest.raises(CheckError, match=f"item {wrong.id}: .*{named}"):
        check(m0, [wrong], ["content"])


def test_choices_without_tokens_of_their_own_are_refused_by_item(m0, items):
    wrong = dataclasses.replace(
        items[1][3], choices=("A", "xyzzy", "plugh", "C"), contents=("red", "blue", "grey", "pink")
    )
    with pytest.raises(CheckError, match=rf"item {wrong.id}: these continuations have no tokens"):
        check(m0, [wrong], ["content"])


def test_what_is_longer_than_the_model_was_made_for_is_refused_by_item(m0, items):
    m0.model.config.max_position_embeddings = 20
    with pytest.raises(
        CheckError, match=r"item .*tokens with the answer.*max_position_embeddings=20"
    ) as error:
        check(m0, items[1], BOTH)
    assert f"and {24 - SHOWN} more" in str(error.value)
    m0.model.config.max_position_embeddings = 60
    assert check(m0, items[1], BOTH).longest <= 60
    replying = [dataclasses.replace(items[1][0], replies=True)]
    m0.model.config.max_position_embeddings = 40  # a reply may have 32 tokens
    with pytest.raises(CheckError, match="max_position_embeddings=40"):
        check(m0, replying, BOTH)


def test_a_template_that_opens_a_thought_is_warned_of(m0, items):
    m0.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}<think>\n"
    assert any("within a thought" in text for text in check(m0, items[1], BOTH).warnings)


def test_experts_that_get_no_adapter_are_warned_of(m0, items):
    dense, sparse = build("llama", m0.tokenizer), experts(m0.tokenizer)
    assert adapter_share(dense.model) > 0.97  # all but the norms
    share = adapter_share(sparse.model)
    assert 0.1 < share < 0.6
    (warning,) = check(sparse, items[1], BOTH).warnings
    assert f"an adapter covers {share:.0%} of the weights" in warning


def test_words_of_a_prompt_that_the_tokenizer_does_not_know_are_warned_of(m0, items):
    item = dataclasses.replace(
        items[1][0],
        prompt=f"xyzzy {items[1][0].prompt}",
        counterfactual_prompt=f"xyzzy {items[1][0].counterfactual_prompt}",
    )
    (warning,) = check(m0, [items[1][1], item], BOTH).warnings
    assert item.id in warning
