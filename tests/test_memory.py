import pytest
import torch
from coupling.memory import MemoryCeiling, kept_bytes, memory_ceiling, peak_memory_gb


def test_beyond_the_memory_ceiling_a_clear_error_and_the_limit_is_lifted_again():
    with pytest.raises(MemoryCeiling, match="memory_gb"), memory_ceiling(peak_memory_gb() + 2):
        torch.empty(20_000_000_000, dtype=torch.uint8).fill_(1)
    torch.empty(3_000_000_000, dtype=torch.uint8)
    for refused in ("could not create a primitive", "unable to mmap 7108389664 bytes from file <model.safetensors>: Cannot allocate memory (12)"):
        with pytest.raises(MemoryCeiling, match="memory_gb"), memory_ceiling(100):
            raise RuntimeError(refused)
    with pytest.raises(RuntimeError, match="unrelated"), memory_ceiling(100):
        raise RuntimeError("unrelated")


def test_what_autograd_keeps_is_counted_once():
    x = torch.randn(1000, requires_grad=True)
    assert kept_bytes(lambda: x.exp().sum()) == 4000  # the result of exp
    assert kept_bytes(lambda: (x * x).sum()) == 4000  # x, for both factors
