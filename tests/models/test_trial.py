"""The trial of a model when it is loaded: each faster way is taken only where it gives the right numbers."""

import warnings

import pytest
import torch
from coupling.models import load_from
from coupling.models.packing import ATTENTION
from coupling.models.trial import kernel_differs, padding_differs
from made_architectures import save


def load(name, m0, folder):
    """A model as loaded, and what was said about it."""
    save(name, m0.tokenizer, folder)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        loaded = load_from(folder, "float32")
    return loaded, " ".join(str(w.message) for w in shown if issubclass(w.category, UserWarning))


@pytest.mark.parametrize(
    ("name", "packs", "pads", "attention"),
    [
        ("llama", True, True, ATTENTION),
        ("stablelm", False, True, "sdpa"),  # one tree alone it can take
        ("gemma2", False, True, "eager"),  # torch's attention does not cap its scores
        ("lfm2", False, False, "sdpa"),  # it keeps states that cannot be repeated or cut
    ],
)
def test_a_model_is_run_in_the_fastest_way_that_is_right(m0, tmp_path, name, packs, pads, attention):
    loaded, said = load(name, m0, tmp_path)
    assert (loaded.packs, loaded.pads) == (packs, pads)
    assert loaded.model.config._attn_implementation == attention
    assert ("cannot take packed prefix trees" in said) != packs
    assert ("cannot take padded batches" in said) != pads
    assert padding_differs(loaded) is None or not pads


def test_an_attention_that_differs_from_the_architectures_own_is_noticed(m0, monkeypatch):
    assert kernel_differs(m0) is None

    def uniform(query, key, value, *_, **__):
        return value.mean(2, keepdim=True).expand_as(query)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", uniform)
    assert "off by" in kernel_differs(m0)
    assert m0.model.config._attn_implementation == "sdpa"


def test_a_model_that_ignores_the_padding_mask_is_noticed(m0):
    plain = m0.model.forward
    m0.model.forward = lambda *args, attention_mask=None, **kwargs: plain(*args, **kwargs)
    assert "off by" in padding_differs(m0)
