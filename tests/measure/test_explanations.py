import pytest
import torch
from coupling.measure.behaviours import Behaviours, behaviour_seams, behaviours, health
from coupling.measure.explanations import (
    LabelError,
    Statement,
    check_labels,
    explanation_seam,
    forced_choice,
    generate,
    labels,
    parse,
    render_label,
    request,
    statements,
)
from coupling.models import Seam, TemplateError, completion, encode, plain_logprobs, seam


@pytest.mark.parametrize("label_format", ["letter", "content"])
def test_parse_is_the_inverse_of_render(items, label_format):
    item = items[1][0]
    for changes in (False, True):
        for answer in range(4):
            claim = Statement(changes, answer)
            assert parse(item, render_label(item, claim, label_format), label_format) == claim


@pytest.mark.parametrize(
    "text",
    ["", "stays at", "stays at E", "Stays at A", "changes to A.", "it changes to A", "changes at A", "A"],
)
def test_parse_never_guesses(items, text):
    assert parse(items[1][0], text, "letter") is None


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


def test_a_merged_completion_is_refused(m0):
    with pytest.raises(TemplateError, match="merges"):
        completion(m0.tokenizer, "My ans", "wer")


def test_behaviours_do_not_depend_on_padding_or_batch(m0, items):
    alone = [plain_logprobs(m0, [behaviour_seams(m0, i)[0]])[0] for i in items[1]]
    together = behaviours(m0, items[1], 8)
    assert torch.allclose(torch.stack(alone), torch.from_numpy(together.x), atol=1e-5)
    assert len(set(together.choice("x"))) > 1  # the random model does tell items apart


def test_tails_of_several_tokens_score_as_the_whole_text_does(m0):
    text = "Colour of ?"
    tails = (" A Hint: B", " C A", " D")
    got = plain_logprobs(
        m0, [seam(m0.tokenizer, text, tails), seam(m0.tokenizer, "the hint " + text, tails[:2])]
    )
    assert got[1, 2] == -torch.inf
    for row, prefix, n in ((0, text, 3), (1, "the hint " + text, 2)):
        for k in range(n):
            ids = torch.tensor([encode(m0.tokenizer, prefix + tails[k])])
            start = len(encode(m0.tokenizer, prefix))
            logp = m0.model(input_ids=ids).logits.log_softmax(-1)[0]
            want = sum(logp[t - 1, ids[0, t]] for t in range(start, ids.shape[1]))
            assert torch.allclose(got[row, k], want, atol=1e-4)


def test_continuations_without_tokens_of_their_own_are_refused(m0):
    with pytest.raises(TemplateError, match="no tokens of their own"):
        seam(m0.tokenizer, "My", (" answer", " answer"))
    assert seam(m0.tokenizer, "My", (" A", " B")) == Seam(
        tuple(encode(m0.tokenizer, "My")), tuple((encode(m0.tokenizer, c)[0],) for c in "AB")
    )


def test_labels_state_what_behaviours_make_true(m0, items):
    b = behaviours(m0, items[1], 8)
    for claim, x, cf in zip(statements(b), b.choice("x"), b.choice("cf"), strict=True):
        assert (claim.changes, claim.answer) == (x != cf, cf)
    regime = health(items[1], b, labels(items[1], b, "letter"))
    assert 0 <= regime["changed_share"] <= 1
    assert regime["top_label_share"] <= 1


def test_behaviours_survive_their_frame(m0, items):
    b = behaviours(m0, items[1], 8)
    again = Behaviours.from_frame(b.frame())
    assert again.ids == b.ids
    assert (again.x == b.x).all()
    assert (again.cf == b.cf).all()


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


def test_near_constant_labels_are_refused_unless_asked_for():
    texts = ["stays at A"] * 19 + ["changes to B"]
    with pytest.raises(LabelError, match=r"'stays at A' is 19 of 20.*allow_constant_labels"):
        check_labels(texts, False)
    check_labels(texts, True)
    check_labels(["a"] * 9 + ["b"], False)
