"""Parts of decoder layers as one operation each: the same values and gradients, and nothing left behind."""

import dataclasses

import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import labels
from coupling.models import adapted, pack, packed_logits, prefix_tree
from coupling.models.adapter import lora_layers
from coupling.models.fused import _Gated, _Normed, fuse, unfuse
from coupling.models.load import halve
from coupling.models.memory import checkpoint_layers
from coupling.training.checkpoints import trainable
from coupling.training.data import training_set
from coupling.training.loss import losses
from made_models import ARCHITECTURES, build, experts, stir
from torch.nn.functional import silu

TREES = [[[5, 6, 7, 8], [5, 6, 9], [14, 5]], [[9, 7, 11], [9, 7, 6, 5]]]


@pytest.fixture(params=ARCHITECTURES)
def any_m0(request, m0):
    return build(request.param, m0.tokenizer)


def own_passes(model):
    return {name for name, module in model.named_modules() if "forward" in vars(module)}


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradients(ours, plain, *inputs):
    """Values and gradients of two functions on the same inputs, weighted at random."""
    found = []
    for function in (ours, plain):
        leaves = [x.clone().requires_grad_() for x in inputs]
        out = function(*leaves)
        (out * drawn(*out.shape, seed=9)).sum().backward()
        found.append([out.detach(), *(x.grad for x in leaves)])
    return found


def test_the_norm_and_its_gradient_are_those_of_its_formula():
    weight = drawn(16, seed=1)

    def plain(x):
        return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))

    for ours, wanted in zip(
        *gradients(lambda x: _Normed.apply(x, weight, 1e-5), plain, drawn(3, 7, 16)), strict=True
    ):
        torch.testing.assert_close(ours, wanted)


def test_the_gate_and_its_gradients_are_those_of_its_formula():
    pair = drawn(3, 7, 16), drawn(3, 7, 16, seed=1)
    for ours, wanted in zip(*gradients(_Gated.apply, lambda g, u: silu(g) * u, *pair), strict=True):
        torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize("rank", [1, 4, 32])
def test_loss_and_gradients_of_a_training_step_are_the_same(spec, any_m0, items, rank):
    """Rank 32 is as wide as the model: gradients of adapters are then taken from those of whole weights."""
    b0 = behaviours(any_m0, items[0], 8)
    data = training_set(any_m0, items[0], b0, labels(items[0], b0, "letter"), {})
    found = []
    for fused in (False, True):
        with adapted(any_m0, spec.model_copy(update={"rank": rank, "fused": fused})) as tuned:
            stir(tuned)
            sums = losses(spec, tuned, data, range(8))
            (sums["cross_entropy"] + sums["kl"]).backward()
            found.append([*sums.values(), *(p.grad for _, p in trainable(tuned.model))])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-4 * float(wanted.detach().abs().max()))


def test_behaviours_and_explanations_are_the_same(spec, any_m0, items):
    found = []
    for fused in (False, True):
        with adapted(any_m0, spec.model_copy(update={"fused": fused})) as tuned:
            stir(tuned)
            found.append(evaluate(tuned, items[1], "letter", 8, forced=True))
    (b, texts, chosen), (b_fused, texts_fused, chosen_fused) = found
    torch.testing.assert_close(torch.from_numpy(b_fused.x), torch.from_numpy(b.x), rtol=1e-4, atol=1e-4)
    assert (texts, chosen) == (texts_fused, chosen_fused)


def test_the_usual_parts_are_taken_over_and_given_back(spec, m0):
    before = own_passes(m0.model)
    with adapted(m0, spec.model_copy(update={"fused": True})) as tuned:
        taken = own_passes(tuned.model.get_base_model()) - before
        kinds = {name.split(".")[-1] for name in taken}
        assert {"input_layernorm", "post_attention_layernorm", "norm", "mlp"} <= kinds
        assert "model.layers.1" in taken
        assert tuned.picks
        assert "model.layers.0" not in taken
    assert own_passes(m0.model) == before
    assert not m0.picks


def test_parts_that_compute_something_else_are_left_alone(m0):
    """Gemma's norms scale by 1 + w, its gate is no silu, and its layers have more norms than usual."""
    gemma = build("gemma3", m0.tokenizer)
    with torch.no_grad():
        for name, p in gemma.model.named_parameters():
            if "norm" in name:
                p.fill_(0.3)
    fuse(gemma)
    assert not own_passes(gemma.model)
    assert not gemma.picks


def test_a_module_that_claims_to_be_the_usual_one_is_found_out(m0):
    """The check is of numbers, not of names."""
    norm, mlp = m0.model.model.norm, m0.model.model.layers[0].mlp
    plain = type(norm).forward, type(mlp).forward
    try:
        type(norm).forward = lambda self, x: plain[0](self, x) + 0.01
        type(mlp).forward = lambda self, x: plain[1](self, x) * 1.01
        fuse(m0)
        assert "forward" not in vars(norm)
        assert "forward" not in vars(mlp)
    finally:
        type(norm).forward, type(mlp).forward = plain
        unfuse(m0)


def test_a_layer_whose_parts_return_more_than_states_is_not_shortened(m0):
    mixed = experts(m0.tokenizer)
    wanted = each(mixed)
    fuse(mixed)
    torch.testing.assert_close(each(mixed), wanted, rtol=1e-4, atol=1e-4)


def each(loaded, picked=None):
    row = pack([prefix_tree(group) for group in TREES], loaded.device)
    picked = torch.arange(row.ids.shape[1]) if picked is None else picked
    with torch.no_grad():
        return packed_logits(loaded, row, picked)


@pytest.mark.parametrize("picked", [[0], [3, 1, 1, 8], [8, 7, 6, 5, 4, 3, 2, 1, 0, 9]])
def test_a_shortened_layer_picks_in_any_order_and_number(m0, picked):
    """The last case picks as many tokens as the row has, in another order."""
    wanted = each(m0, torch.tensor(picked))
    fuse(m0)
    assert m0.picks
    torch.testing.assert_close(each(m0, torch.tensor(picked)), wanted, rtol=1e-4, atol=1e-4)


def test_passes_without_trees_still_see_every_token(m0):
    ids = torch.tensor([[5, 6, 7, 8]])
    wanted = m0.model(input_ids=ids).logits
    fuse(m0)
    torch.testing.assert_close(m0.model(input_ids=ids).logits, wanted, rtol=1e-4, atol=1e-4)


def test_an_adapter_that_is_given_back_computes_as_peft_does(spec, m0, items):
    plain = dataclasses.replace(m0, packs=False)
    wanted = behaviours(plain, items[1], 8).x
    with adapted(m0, spec.model_copy(update={"fused": True})) as tuned:
        assert lora_layers(tuned.model)
    assert torch.equal(torch.from_numpy(behaviours(plain, items[1], 8).x), torch.from_numpy(wanted))


@pytest.mark.parametrize("halved", [False, True])
def test_under_autocast_values_and_gradients_differ_by_rounding_alone(spec, any_m0, items, halved):
    b0 = behaviours(any_m0, items[0], 8)
    data = training_set(any_m0, items[0], b0, labels(items[0], b0, "letter"), {})
    any_m0.dtype, found = torch.bfloat16, []
    if halved:
        halve(any_m0.model)
    for fused in (False, True):
        with adapted(any_m0, spec.model_copy(update={"fused": fused})) as tuned:
            stir(tuned)
            sums = losses(spec, tuned, data, range(8))
            (sums["cross_entropy"] + sums["kl"]).backward()
            found.append([sums["cross_entropy"], *(p.grad for _, p in trainable(tuned.model))])
    for ours, wanted in zip(*found, strict=True):
        assert ours.dtype == wanted.dtype
        assert (ours - wanted).norm() < 0.05 * wanted.norm()


def test_layers_that_are_computed_again_give_the_same_gradients(spec, m0, items):
    b0 = behaviours(m0, items[0], 8)
    data = training_set(m0, items[0], b0, labels(items[0], b0, "letter"), {})
    found = []
    for again in (False, True):
        with adapted(m0, spec.model_copy(update={"fused": True})) as tuned:
            stir(tuned)
            if again:
                checkpoint_layers(tuned.model)
            losses(spec, tuned, data, range(8))["cross_entropy"].backward()
            found.append([p.grad for _, p in trainable(tuned.model)])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-6)
