"""Sites: found by structure in any usual architecture, and hooks that leave no trace."""

from dataclasses import replace

import pytest
import torch
from coupling.models import adapted, pack, prefix_tree
from coupling.models.sites import PARTS, Patch, Site, SiteError, hooked, patched_logits, read_states, sites
from made_models import ARCHITECTURES, build, stir
from transformers import OPTConfig, OPTForCausalLM

GROUP = [[5, 6, 7, 8], [5, 6, 9]]
LAST = torch.tensor([3, 4])  # the places of the last token of each sequence


def row(loaded, copies=1):
    return pack([prefix_tree(GROUP)] * copies, loaded.device)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_part_of_every_layer_is_found_and_can_be_replaced(name, m0):
    loaded = build(name, m0.tokenizer)
    found = sites(loaded.model)
    assert list(found) == [Site(layer, part) for layer in (0, 1) for part in PARTS]
    clean, states = read_states(loaded, row(loaded), LAST)
    for site in found:
        changed = Patch(torch.tensor([3]), states[site][[3]] + 1)
        patched = patched_logits(loaded, row(loaded), LAST, {site: changed})
        assert not torch.allclose(patched[0], clean[0], atol=1e-3)
        assert torch.equal(patched[1], clean[1])  # the other branch does not see this token


def test_patches_of_several_copies_do_not_touch_one_another(m0):
    clean, states = read_states(m0, row(m0), LAST)
    site = Site(0, "mlp")
    both = torch.cat([LAST, LAST + 5])
    changed = Patch(torch.tensor([5]), states[site][[0]] + 1)  # the first token of the second copy
    patched = patched_logits(m0, row(m0, 2), both, {site: changed})
    assert torch.allclose(patched[:2], clean, atol=1e-5)
    assert not torch.allclose(patched[2:], clean, atol=1e-2)


def test_a_model_is_as_it_was_after_patches_and_after_errors(m0):
    before, states = read_states(m0, row(m0), LAST)
    weights = {name: p.clone() for name, p in m0.model.named_parameters()}
    every = {site: Patch(torch.arange(5), torch.zeros_like(s)) for site, s in states.items()}
    assert not torch.allclose(patched_logits(m0, row(m0), LAST, every), before)
    wrong = Patch(torch.tensor([99]), states[Site(0, "mlp")][[0]])
    with pytest.raises((IndexError, RuntimeError)):
        patched_logits(m0, row(m0), LAST, {Site(0, "mlp"): wrong})
    assert torch.equal(patched_logits(m0, row(m0), LAST, {}), before)
    assert all(torch.equal(p, weights[name]) for name, p in m0.model.named_parameters())
    assert not any(module._forward_hooks for module in m0.model.modules())


def test_hooks_that_are_left_behind_are_an_error(m0):
    left = []
    with (
        pytest.raises(SiteError, match="left behind"),
        hooked(m0.model, {Site(1, "mlp"): lambda states: None}),
    ):
        left.append(sites(m0.model)[Site(1, "mlp")].register_forward_hook(lambda *_: None))
    left[0].remove()


def test_an_adapter_and_a_fused_model_are_patched_at_all_tokens(m0, spec):
    with adapted(m0, spec.model_copy(update={"fused": True})) as tuned:
        stir(tuned)
        assert tuned.picks
        clean, states = read_states(tuned, row(tuned), LAST)
        assert {s.shape[0] for s in states.values()} == {5}
        same = {site: Patch(torch.arange(5), s) for site, s in states.items()}
        assert torch.allclose(patched_logits(tuned, row(tuned), LAST, same), clean, atol=1e-5)
        assert tuned.picks


def test_what_cannot_be_patched_is_said(m0):
    with pytest.raises(SiteError, match="takes no prefix trees"):
        read_states(replace(m0, packs=False), row(m0), LAST)
    flat = OPTForCausalLM(
        OPTConfig(vocab_size=50, hidden_size=8, ffn_dim=8, num_hidden_layers=1, num_attention_heads=1)
    )
    with pytest.raises(SiteError, match=r"layer 0 \(OPTDecoderLayer\).*for its mlp, found 0 among self_attn"):
        sites(flat)
    with pytest.raises(SiteError, match=r"\(7, 'mlp'\) is no site: the model has layers 0 to 1"):
        patched_logits(m0, row(m0), LAST, {Site(7, "mlp"): None})
