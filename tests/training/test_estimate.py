"""The estimate of a run's memory, against a model that is there and against one that is known."""

import pytest
import torch
from coupling.models import ModelError, adapted, load_from
from coupling.models.memory import kept_bytes, weight_bytes
from coupling.spec import make_spec
from coupling.training.estimate import LONG, SHORT, needed
from transformers import Qwen3Config

# The shape of Qwen3-8B, as its config on the hub gives it.
QWEN3_8B = {
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}


def test_the_estimate_is_what_a_real_model_keeps(m0, tmp_path):
    m0.model.save_pretrained(tmp_path)
    m0.tokenizer.save_pretrained(tmp_path)
    spec = make_spec("medium", model=str(tmp_path), dtype="float32", rank=8)
    found = needed(spec)
    loaded = load_from(tmp_path, "float32")
    assert found["parameters"] == sum(p.numel() for p in loaded.model.parameters())
    weights = weight_bytes(loaded.model)
    assert found["weights_gb"] == pytest.approx(weights / 1e9)
    with adapted(loaded, spec) as tuned:
        assert found["adapter_gb"] == pytest.approx((weight_bytes(tuned.model) - weights) / 1e9)
        few, more = (
            kept_bytes(
                lambda n=n: (
                    tuned.model(
                        input_ids=torch.zeros(1, n, dtype=torch.int64), logits_to_keep=1, use_cache=False
                    ).logits
                ),
                tuned.model,
            )
            for n in (SHORT, LONG)
        )
    assert found["mb_a_token"] == pytest.approx((more - few) / (LONG - SHORT) / 1e6, rel=0.25)
    assert found["mb_a_token_checkpointed"] < found["mb_a_token"]
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match="cannot read the config"):
        needed(spec)


def test_the_paper_profile_fits_its_gpu(tmp_path):
    Qwen3Config(**QWEN3_8B, vocab_size=151936, tie_word_embeddings=False).save_pretrained(tmp_path)
    found = needed(make_spec("paper", model=str(tmp_path)))
    assert found["parameters"] == 8_190_735_360
    assert found["weights_gb"] == pytest.approx(16.38, abs=0.01)
    spec = make_spec("paper")
    longest = 3 * spec.max_words  # tokens of an item as a tree, x and the explanation request sharing most
    assert found["tokens_a_pass"] > longest
    assert found["tokens_a_pass_checkpointed"] > spec.batch_size * longest
