"""A model in memory: what is recorded of it, and one GPU for each run of a machine."""

import subprocess
import sys

import torch
from coupling.models.loaded import slot


def test_what_is_recorded_of_a_model(m0):
    m0.dtype = torch.bfloat16
    m0.model.lm_head.to(torch.bfloat16)
    found = m0.description()
    assert found["dtype"] == "bfloat16"
    assert found["weights"] == "bfloat16+float32"
    assert found["packed"]
    assert found["parameters"] == sum(p.numel() for p in m0.model.parameters())


def test_products_are_in_the_models_precision(m0):
    x = torch.randn(4, 32)
    for dtype in (torch.float32, torch.bfloat16):
        m0.dtype = dtype
        with m0.precision():
            assert m0.model.lm_head(x).dtype == dtype


def test_a_lock_file_that_cannot_be_opened_is_passed_over(tmp_path):
    (tmp_path / "coupling-gpu-0.lock").mkdir()  # as closed to this process as the file of another user
    slot.cache_clear()
    assert slot(2, tmp_path) == 1


def test_runs_on_one_machine_take_gpus_of_their_own(tmp_path):
    code = (
        "import sys, pathlib; from coupling.models.loaded import slot; "
        "print(slot(2, pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert int(other.stdout.readline()) == 0

    def ask():
        slot.cache_clear()  # as another process would ask
        return slot(2, tmp_path)

    assert ask() == 1
    assert slot(2, tmp_path) == 1  # the same process keeps what it has
    other.kill()
    other.communicate()
    assert ask() == 0  # the other one's is free again
    assert ask() == 0  # none is free, so one is shared
