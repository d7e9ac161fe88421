"""What all tests share: a small spec, its items, a small random model, and folders of their own.

SMALL makes every run take seconds. No test touches real results.
"""

import pytest
import torch
from coupling.measure.wording import WORDINGS
from coupling.models import Loaded
from coupling.models.organism import make_tokenizer
from coupling.spec import make_spec
from coupling.tasks import load_items, vocabulary
from transformers import LlamaConfig, LlamaForCausalLM

SMALL = {
    "entities": 24,
    "test_items": 24,
    "train_items": 32,
    "eval_batch": 8,
    "m0_steps": 10,
    "m0_adoption_near": 1.0,
    "m0_knowledge": -1.0,
    "m0_batch": 4,
    "steps": 6,
    "batch_size": 8,
    "rank": 4,
    "evaluations": 3,
    "interim_items": 16,
    "allow_constant_labels": True,
}


def pytest_collection_modifyitems(config, items):
    """Leave out what takes minutes unless its mark asks for it; skip tests of a GPU where there is none."""
    left_out = {mark for mark in ("architectures", "browser", "slurm") if mark not in config.option.markexpr}
    items[:] = [item for item in items if left_out.isdisjoint(mark.name for mark in item.iter_markers())]
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="this machine has no GPU"))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("COUPLING_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("COUPLING_FIGURES", str(tmp_path / "figures"))
    torch.set_num_threads(1)


@pytest.fixture
def spec():
    return make_spec("tiny", **SMALL)


@pytest.fixture
def items(spec):
    return load_items(spec, {})


@pytest.fixture
def m0(spec):
    """An untrained organism of two layers. Its weights are so large that its choices differ by item."""
    tokenizer = make_tokenizer([*WORDINGS, *vocabulary(spec)])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval().requires_grad_(False)
    return Loaded(model, tokenizer, torch.float32)
