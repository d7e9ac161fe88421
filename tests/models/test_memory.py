import gc

import pytest
import torch
from coupling.models.memory import MemoryCeiling, kept_bytes, memory_ceiling, peak_memory_gb


def test_beyond_the_memory_ceiling_a_clear_error_and_the_limit_is_lifted_again():
    with pytest.raises(MemoryCeiling, match="memory_gb"), memory_ceiling(peak_memory_gb() + 2):
        torch.empty(20_000_000_000, dtype=torch.uint8).fill_(1)
    torch.empty(3_000_000_000, dtype=torch.uint8)
    for refused in (
        "could not create a primitive",
        "unable to mmap 7108389664 bytes from file <model.safetensors>: Cannot allocate memory (12)",
    ):
        with pytest.raises(MemoryCeiling, match="memory_gb"), memory_ceiling(100):
            raise RuntimeError(refused)
    with pytest.raises(RuntimeError, match="unrelated"), memory_ceiling(100):
        raise RuntimeError("unrelated")


def test_what_autograd_keeps_is_counted_once():
    x, layer = torch.randn(1000, requires_grad=True), torch.nn.Linear(1000, 10)
    assert kept_bytes(lambda: x.exp().sum(), layer) == 4000  # the result of exp
    assert kept_bytes(lambda: (x * x).sum(), layer) == 4000  # x, for both factors
    assert kept_bytes(lambda: layer(x).sum(), layer) == 4000  # x alone, since the weights are there anyway


def test_nothing_that_was_counted_stays():
    x = torch.randn(1000, requires_grad=True)

    def alive():
        gc.collect()
        return sum(isinstance(o, torch.Tensor) for o in gc.get_objects())

    before = alive()
    assert (
        kept_bytes(lambda: x.exp().tanh().sum(), torch.nn.Linear(1, 1)) == 8000
    )  # operations that keep what they gave
    assert alive() == before
