"""Both attention kernels against attention that is written out in float64."""

import shutil

import pytest
import torch
from coupling.bench import attention

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="FlexAttention needs a C++ compiler here")


@needs_compiler
def test_both_kernels_are_within_the_tolerance_on_a_cpu():
    rows = attention.errors(CPU)
    quantities = {
        kernel: {r["quantity"] for r in rows if r["kernel"] == kernel} for kernel in attention.KERNELS
    }
    assert quantities == {
        "SDPA, explicit mask": {"output", "query", "key", "value"},
        "FlexAttention, block mask": {"output"},
    }
    assert all(r["within"] for r in rows), rows
    assert all(r["error"] > 0 for r in rows if r["precision"] == "bfloat16")


def test_a_mask_that_lets_branches_see_each_other_is_beyond_the_tolerance(monkeypatch):
    def causal(row, dtype):
        width = row.blocks.shape[1]
        unseen = torch.ones(width, width, dtype=torch.bool).triu(1)
        mask = torch.zeros(len(row.blocks), 1, width, width, dtype=dtype)
        return mask.masked_fill(unseen, -torch.inf)

    monkeypatch.setattr(attention, "KERNELS", {"causal": causal})
    rows = attention.errors(CPU)
    assert len(rows) == 8
    assert not any(r["within"] for r in rows)
