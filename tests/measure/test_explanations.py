"""Explanations: labels written and read back, texts generated, and labels that cannot be trained on."""

import dataclasses

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.explanations import (
    LabelError,
    as_texts,
    check_labels,
    explanation_seam,
    forced_choice,
    generate,
    labels,
    most_tokens,
    request,
    statements,
)
from coupling.measure.wording import WORDINGS, Statement, parse, possible_labels, render_label
from coupling.models import encode
from coupling.models.organism import make_tokenizer
from made_models import ARCHITECTURES, build
from tokenizers import normalizers


def test_the_content_format_shares_no_token_with_the_letters(m0, items):
    item = items[1][0]
    letters = {encode(m0.tokenizer, c)[0] for c in item.choices}
    for answer in range(4):
        assert not letters & set(
            explanation_seam(m0, item, render_label(item, Statement(True, answer), "content")).tails[0]
        )


def test_golden_of_prompts_and_masked_label(m0, items):
    item = items[1][0]
    assert request(m0, item) == f"{item.prompt}\nWithout the hint?\nMy answer"
    found = explanation_seam(m0, item, "changes to B")
    prefix, label = found.prefix, found.tails[0]
    assert m0.tokenizer.convert_ids_to_tokens(label) == ["changes", "to", "B", "<end>"]
    assert m0.tokenizer.convert_ids_to_tokens(prefix)[-2:] == ["My", "answer"]
    assert len(prefix) + len(label) <= 30


def test_labels_state_what_behaviours_make_true(m0, items):
    b = behaviours(m0, items[1], 8)
    for stated, x, cf in zip(statements(b), b.choice("x"), b.choice("cf"), strict=True):
        assert (stated.changes, stated.answer) == (x != cf, cf)


def test_greedy_texts_are_those_of_a_loop_without_cache_or_padding(m0, items):
    texts = generate(m0, items[1][:6], "letter", 4)
    for item, text in zip(items[1][:6], texts, strict=True):
        ids = [*encode(m0.tokenizer, request(m0, item))]
        start = len(ids)
        while len(ids) - start < 6:
            ids.append(int(m0.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == m0.tokenizer.eos_token_id:
                break
        assert text == " ".join(m0.tokenizer.decode(ids[start:], skip_special_tokens=True).split())


def test_forced_choice_is_one_of_the_labels(m0, items):
    for item, text in zip(items[1], forced_choice(m0, items[1], "content", 8), strict=True):
        assert parse(item, text, "content") is not None


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_forced_choices_are_those_of_plain_batches(m0, items, name):
    packed = build(name, m0.tokenizer)
    plain = dataclasses.replace(packed, packs=False)
    found = forced_choice(packed, items[1], "content", 7)
    assert found == forced_choice(plain, items[1], "content", 7)
    assert len(set(found)) > 1


def test_a_reply_that_is_no_choice_makes_no_statement_and_no_label(items):
    none = -np.inf
    b = Behaviours(
        ("a", "b"),
        np.array([[0, none], [0, none]], np.float32),
        np.array([[none, 0], [none, none]], np.float32),
    )
    assert statements(b) == [Statement(True, 1), None]
    assert labels(items[1][:2], b, "letter") == ["changes to B", None]
    with pytest.raises(LabelError, match="no training item has a label"):
        check_labels([], True)


def test_labels_carry_their_end_mark_and_fit_what_is_generated(m0, items):
    some = items[1][:5]
    lengths = [
        len(explanation_seam(m0, i, label).tails[0]) for i in some for label in possible_labels(i, "letter")
    ]
    assert explanation_seam(m0, some[0], "stays at A").tails[0][-1] == m0.tokenizer.eos_token_id
    assert most_tokens(m0, some, "letter") == max(lengths) + 2


def test_near_constant_labels_are_refused_unless_asked_for():
    texts = ["stays at A"] * 19 + ["changes to B"]
    with pytest.raises(LabelError, match=r"'stays at A' is 19 of 20.*allow_constant_labels"):
        check_labels(texts, False)
    check_labels(texts, True)
    check_labels(["a"] * 9 + ["b"], False)


@pytest.mark.parametrize(
    ("normalizer", "contents"),
    [
        (normalizers.NFC(), ("cafe\u0301", "Mu\u0308nchen", "nin\u0303o", "lead")),
        (normalizers.Lowercase(), ("Iron", "NEON", "zinc", "Lead")),
    ],
)
def test_a_label_that_the_tokenizer_alters_is_still_the_label(m0, items, normalizer, contents):
    """A model that says each label exactly is right on all, in letters and in contents."""
    words = [normalizer.normalize_str(w) for w in (*contents, *"ABCD", *WORDINGS)]
    m0.tokenizer = make_tokenizer(words)
    m0.tokenizer.backend_tokenizer.normalizer = normalizer
    item = dataclasses.replace(items[1][0], contents=contents)
    for label_format in ("letter", "content"):
        wanted = possible_labels(item, label_format)
        rows = [explanation_seam(m0, item, label).tails[0][:-1] for label in wanted]
        assert as_texts(m0, [item] * len(rows), label_format, rows) == wanted
    said = m0.tokenizer.decode(rows[0])
    assert parse(item, said, "content") is None  # as it is, the text is no label


def test_a_text_that_is_no_label_stays_as_it_is(m0, items):
    row = encode(m0.tokenizer, "changes to My")
    assert as_texts(m0, items[1][:1], "letter", [row]) == ["changes to My"]
