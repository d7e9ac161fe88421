"""How many tokens a training pass may hold, and how a step is cut into passes."""

import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import labels
from coupling.models import adapted
from coupling.models.memory import MemoryCeiling, weight_bytes
from coupling.training.checkpoints import trainable
from coupling.training.data import training_set
from coupling.training.loss import losses
from coupling.training.passes import entry_sizes, passes, size, tokens_in_memory
from made_models import stir


@pytest.fixture
def data(m0, items):
    b0 = behaviours(m0, items[0], 8)
    return training_set(m0, items[0], b0, labels(items[0], b0, "letter"), {})


def test_passes_cover_the_items_in_order_evenly_and_hold_no_more_than_they_may():
    assert passes([5, 5, 5, 5, 5, 5], 100) == [slice(0, 6)]
    assert passes([5, 5, 5, 5, 5, 5], 25) == [slice(0, 3), slice(3, 6)]
    assert passes([50, 5, 5], 10) == [slice(0, 1), slice(1, 3)]
    sizes = [7, 3, 9, 2, 8, 4, 6]
    parts = passes(sizes, 12)
    assert [i for p in parts for i in range(p.start, p.stop)] == list(range(7))
    assert all(sum(sizes[p]) <= 12 for p in parts)


def test_less_memory_means_smaller_passes_then_recomputed_layers_with_the_same_gradients_then_an_error(
    spec, m0, data
):
    def at(gigabytes):
        return spec.model_copy(update={"memory_gb": gigabytes})

    def gradient(tuned):
        sum(losses(spec, tuned, data, range(len(data.seams))).values()).backward()
        return [p.grad.clone() for _, p in trainable(tuned.model)]

    with adapted(m0, spec) as tuned:
        stir(tuned)
        plain, sizes = gradient(tuned), [size(s) for s in data.seams]
        roomy, tight = (tokens_in_memory(at(1.0 + g), tuned, data, sizes) for g in (0.2, 0.02))
        assert roomy > 5 * tight > 100
        assert not tuned.model.is_activation_checkpointing
        item = size(data.seams[0]) * (0.2e9 - 0.02e9) / (roomy - tight)  # bytes that it takes
        few = tokens_in_memory(at(1.0 + (weight_bytes(tuned.model) + 0.8 * item) / 1e9), tuned, data, sizes)
        assert 0 < few < tight
        assert tuned.model.is_activation_checkpointing
        tuned.model.zero_grad()
        for a, b in zip(gradient(tuned), plain, strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
        with pytest.raises(MemoryCeiling, match=r"one training item of .* tokens: raise it"):
            tokens_in_memory(at(1.0), tuned, data, sizes)


def test_a_cast_that_every_pass_keeps_leaves_less_room_for_items(spec, m0, data):
    """A head that is also the embeddings stays in float32; under autocast each pass keeps its cast."""
    m0.dtype, sizes, room = torch.bfloat16, [size(s) for s in data.seams], 0.1e9
    with adapted(m0, spec) as tuned:
        head = tuned.model.get_output_embeddings().weight
        found = []
        for dtype in (torch.float32, torch.bfloat16):
            head.data = head.data.to(dtype)
            found.append(
                tokens_in_memory(spec.model_copy(update={"memory_gb": 1.0 + room / 1e9}), tuned, data, sizes)
            )
    freed = (found[1] - found[0]) * room / found[0]
    assert 0.75 < freed / (2 * head.nbytes) < 1.25  # half of the weight, and the cast, which is as large


def test_an_entry_has_the_size_of_what_the_loss_reads_of_it(spec, data):
    full = entry_sizes(spec, data)
    labels_alone = entry_sizes(spec.model_copy(update={"kl_weight": 0.0}), data)
    assert all(0 < few < many for few, many in zip(labels_alone, full, strict=True))
    nothing = spec.model_copy(update={"kl_weight": 0.0, "explanation_weight": 0.0})
    assert set(entry_sizes(nothing, data)) == {0}
    assert sum(labels_alone) == sum(size([s[2]]) for s in data.seams)


def test_a_fused_pass_takes_no_more_memory_than_makes_it_fast(spec, m0, data, monkeypatch):
    """Passes of the tiny model are cheap, so they may be of any size; those of a larger one may not."""
    spec = spec.model_copy(update={"fused": True, "memory_gb": 4.0})
    with adapted(m0, spec) as tuned:
        sizes = entry_sizes(spec, data)
        cheap = tokens_in_memory(spec, tuned, data, sizes)
        monkeypatch.setattr("coupling.training.passes.CHEAP", 0.0)
        assert tokens_in_memory(spec, tuned, data, sizes) == 512 < cheap
        plain = spec.model_copy(update={"fused": False})
        assert tokens_in_memory(plain, tuned, data, sizes) > cheap
