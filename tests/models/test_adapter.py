"""LoRA adapters: what peft computes, faster, and nothing of it left behind."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.models import Loaded, adapted, load_from, merged
from coupling.models.adapter import AdapterError, accelerate, lora_layers, peft_forward, stack, update_norm
from coupling.models.load import halve
from coupling.training.checkpoints import trainable
from made_models import stir
from peft import PeftModel
from transformers import GPT2Config, GPT2LMHeadModel


def logits(loaded, items):
    return torch.from_numpy(behaviours(loaded, items, 8).x)


@pytest.fixture(params=[4, 1])
def ranked(request, spec):
    """Rank 4 joins every weight of the two-layer model with its adapter, rank 1 the small weights alone."""
    return spec.model_copy(update={"rank": request.param})


def test_a_fresh_adapter_changes_nothing_and_disabling_it_gives_m0_exactly(ranked, m0, items):
    before = logits(m0, items[1])
    with adapted(m0, ranked) as tuned:
        assert torch.equal(logits(tuned, items[1]), before)
        stir(tuned)
        assert not torch.allclose(logits(tuned, items[1]), before, atol=1e-2)
        with tuned.model.disable_adapter():
            assert torch.equal(logits(tuned, items[1]), before)
    assert torch.equal(logits(m0, items[1]), before)


def test_it_gives_what_peft_gives_merged_or_not(ranked, m0, items):
    with adapted(m0, ranked) as tuned:
        stir(tuned)
        ours = logits(tuned, items[1])
        peft_forward(tuned)
        assert torch.allclose(ours, logits(tuned, items[1]), atol=1e-4)
        accelerate(tuned)
        tuned.model.merge_adapter()
        assert torch.allclose(ours, logits(tuned, items[1]), atol=1e-4)
        tuned.model.unmerge_adapter()


def test_a_second_adapter_is_trained_while_the_first_is_frozen_and_adds_to_it(ranked, m0, items, tmp_path):
    before = logits(m0, items[1])
    with adapted(m0, ranked) as tuned:
        stir(tuned)
        first = {n: p.clone() for n, p in trainable(tuned.model)}
        one = logits(tuned, items[1])
        stack(tuned, ranked)
        assert torch.allclose(logits(tuned, items[1]), one, atol=1e-4)
        assert all(".shift." in n for n, _ in trainable(tuned.model))
        assert len(trainable(tuned.model)) == len(first)
        stir(tuned)
        assert not torch.allclose(logits(tuned, items[1]), one, atol=1e-2)
        now = dict(tuned.model.named_parameters())
        assert all(torch.equal(now[n], p) for n, p in first.items())
        added = [
            sum(layer.get_delta_weight(name).detach() for name in layer.active_adapters)
            for layer in lora_layers(tuned.model)
        ]
        assert update_norm(tuned.model) == pytest.approx(float(sum((d**2).sum() for d in added)) ** 0.5)
        tuned.model.save_pretrained(tmp_path)
    assert torch.equal(logits(m0, items[1]), before)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.safetensors"))
    assert left == ["adapter_model.safetensors", "shift/adapter_model.safetensors"]


def test_an_adapter_that_was_saved_and_merged_into_m0_gives_what_it_gave(ranked, m0, items, tmp_path):
    m0.model.save_pretrained(tmp_path / "m0")
    m0.tokenizer.save_pretrained(tmp_path / "m0")
    with adapted(m0, ranked) as tuned:
        stir(tuned)
        ours = logits(tuned, items[1])
        tuned.model.save_pretrained(tmp_path / "adapter")
    again = merged(load_from(tmp_path / "m0", "float32"), tmp_path / "adapter")
    assert torch.allclose(ours, logits(again, items[1]), atol=1e-4)
    assert not lora_layers(again.model)
    assert not trainable(again.model)


@pytest.mark.parametrize("rank", [8, 1])
def test_values_and_gradients_of_one_layer_are_pefts(spec, m0, rank):
    generator = torch.Generator().manual_seed(0)
    with adapted(m0, spec.model_copy(update={"rank": rank, "lora_alpha": 0.7})) as tuned:
        stir(tuned)
        layer = next(m for m in lora_layers(tuned.model) if m.in_features != m.out_features)
        x = torch.randn(3, 5, layer.in_features, generator=generator, requires_grad=True)
        away = torch.randn(3, 5, layer.out_features, generator=generator)
        results = []
        for forward in (accelerate, peft_forward):
            forward(tuned)
            out = layer(x)
            (out * away).sum().backward()
            results.append(
                [
                    out.detach(),
                    x.grad,
                    layer.lora_A["default"].weight.grad,
                    layer.lora_B["default"].weight.grad,
                ]
            )
            x.grad = None
            tuned.model.zero_grad()
        for ours, pefts in zip(*results, strict=True):
            assert torch.allclose(ours, pefts, rtol=1e-4, atol=1e-5 * float(pefts.abs().max()))


def test_under_autocast_products_are_in_half_precision_and_gradients_in_float32(spec, m0):
    with adapted(m0, spec) as tuned:
        stir(tuned)
        layer = lora_layers(tuned.model)[0]
        x = torch.randn(7, layer.in_features)
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
        out.float().sum().backward()
        assert out.dtype == torch.bfloat16
        a = layer.lora_A["default"].weight
        assert a.grad.dtype == torch.float32
        half, a.grad = a.grad, None
        layer(x).sum().backward()
        assert torch.allclose(half, a.grad, rtol=0.1, atol=0.05 * float(a.grad.abs().max()))


def test_a_weight_that_changed_in_place_is_seen(spec, m0):
    with adapted(m0, spec) as tuned:
        layer = lora_layers(tuned.model)[0]
        x = torch.randn(2, layer.in_features)
        before = layer(x)
        stir(tuned)
        assert not torch.allclose(layer(x), before)
        want = layer.get_base_layer()(x) + layer.scaling["default"] * layer.lora_B["default"](
            layer.lora_A["default"](x)
        )
        assert torch.allclose(layer(x), want, atol=1e-5)


@pytest.mark.parametrize(("rslora", "rank"), [(False, 4), (False, 8), (True, 4), (True, 9)])
def test_the_effective_scale_is_lora_alpha_whatever_the_rank(spec, m0, rslora, rank):
    with adapted(m0, spec.model_copy(update={"rslora": rslora, "rank": rank, "lora_alpha": 0.5})) as tuned:
        scales = [m.scaling["default"] for m in lora_layers(tuned.model)]
    assert len(scales) == 14  # seven linear layers in each of two blocks, the output head left out
    assert all(math.isclose(s, 0.5) for s in scales)


def test_the_adapter_depends_on_its_seed_and_leaves_the_global_generator_alone(spec, m0):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    weights = []
    for seed in (0, 0, 1):
        with adapted(m0, spec.model_copy(update={"seed": seed})) as tuned:
            weights.append([p.clone() for _, p in trainable(tuned.model)])
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


def test_many_adapters_on_one_base_leave_it_and_each_other_as_they_were(spec, m0, items):
    frozen = {n: p.clone() for n, p in m0.model.named_parameters()}
    seen = []
    for seed in (0, 1, 0):
        with adapted(m0, spec.model_copy(update={"seed": seed})) as tuned:
            stir(tuned)
            seen.append(behaviours(tuned, items[1], 8).x)
    assert np.array_equal(seen[0], seen[2])
    assert not np.allclose(seen[0], seen[1], atol=1e-3)
    assert {n: torch.equal(p, frozen[n]) for n, p in m0.model.named_parameters()} == dict.fromkeys(
        frozen, True
    )


def test_an_adapter_is_taken_off_even_after_an_error(spec, m0):
    names = [n for n, _ in m0.model.named_modules()]
    with pytest.raises(KeyError), adapted(m0, spec):
        raise KeyError
    assert [n for n, _ in m0.model.named_modules()] == names


def test_the_adapter_loads_as_a_peft_adapter(spec, m0, items, tmp_path):
    with adapted(m0, spec) as tuned:
        stir(tuned)
        want = logits(tuned, items[1])
        tuned.model.save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    again = PeftModel.from_pretrained(m0.model, tmp_path).eval()
    assert torch.allclose(logits(Loaded(again, m0.tokenizer, torch.float32), items[1]), want, atol=1e-4)
    accelerate(Loaded(again, m0.tokenizer, torch.float32))
    assert torch.equal(logits(Loaded(again, m0.tokenizer, torch.float32), items[1]), want)
    again.unload()


def test_halved_weights_give_under_autocast_what_full_ones_give(spec, m0, items):
    """With peft to the bit, since autocast casts them anyway; joined with the adapter, W is rounded again."""
    m0.dtype, found = torch.bfloat16, []
    for halved in (False, True):
        if halved:
            halve(m0.model)
        with adapted(m0, spec) as tuned:
            with torch.no_grad():
                for _, p in trainable(tuned.model):
                    p.zero_()  # peft rounds an adapter's first weights to the base's precision
            stir(tuned, 0.1)
            ours = logits(tuned, items[1])
            peft_forward(tuned)
            found.append((ours, logits(tuned, items[1])))
    assert torch.equal(found[0][1], found[1][1])
    assert (found[0][0] - found[1][0]).square().mean().sqrt() < 0.05 * found[0][0].std()
    assert not torch.equal(*(found[k][0] for k in (0, 1)))
    assert {p.dtype for p in m0.model.parameters()} == {torch.bfloat16, torch.float32}


def test_an_adapter_starts_from_m0_or_is_refused(spec, m0):
    """A model that holds an adapter beside its weights would lose it to the one that is trained."""
    with adapted(m0, spec) as tuned:
        stir(tuned)
        inner = dataclasses.replace(m0, model=tuned.model.get_base_model())
        with pytest.raises(AdapterError, match="merge"), adapted(inner, spec):
            pass


def test_without_a_linear_layer_there_is_nothing_to_adapt(spec, m0):
    none = dataclasses.replace(m0, model=torch.nn.Embedding(3, 3))
    with pytest.raises(AdapterError, match="no linear layer"), adapted(none, spec):
        pass


def test_layers_that_hold_their_weight_turned_are_adapted_as_peft_does(ranked, m0, items):
    config = GPT2Config(
        vocab_size=500,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    m0.model = GPT2LMHeadModel(config).eval().requires_grad_(False)
    with adapted(m0, ranked) as tuned:
        stir(tuned)
        assert len(lora_layers(tuned.model)) == 8
        found = []
        for way in (accelerate, peft_forward):
            way(tuned)
            tuned.model.zero_grad()
            logits = tuned.model(input_ids=torch.arange(9)[None]).logits
            logits.square().mean().backward()
            found.append([logits.detach(), *(p.grad.clone() for _, p in trainable(tuned.model))])
    for ours, pefts in zip(*found, strict=True):
        assert torch.allclose(ours, pefts, rtol=1e-4, atol=1e-5 * float(pefts.abs().max()))
