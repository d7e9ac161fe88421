"""Memory: the ceiling, what is held, what a pass keeps; on Linux, and where Linux's files are missing."""

import ctypes
import gc
import resource
import warnings
from types import SimpleNamespace

import psutil
import pytest
import torch
from coupling.models import adapted, memory
from coupling.models.memory import (
    MemoryCeiling,
    forget_peak,
    give_back,
    kept_bytes,
    memory_ceiling,
    peak_memory_gb,
    resident_bytes,
    weight_bytes,
)


@pytest.fixture
def macos(monkeypatch, tmp_path):
    """macOS as far as the module can tell: its name, no /proc and no control groups."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(memory, "PROC", tmp_path / "no-proc")


def library(monkeypatch, **functions):
    """Put a C library with these functions in the place of the process's own."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(**functions))


def test_a_ceiling_below_what_the_process_holds_is_an_error_before_the_block_begins():
    begun = []
    with pytest.raises(MemoryCeiling, match=r"memory_gb=0\.1: this process holds"), memory_ceiling(0.1):
        begun.append(True)
    assert not begun


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


def test_on_linux_the_peak_is_counted_anew():
    block = torch.ones(50_000_000)
    high = peak_memory_gb()
    del block
    forget_peak()
    assert peak_memory_gb() < high - 0.1
    assert resident_bytes() / 1e9 < peak_memory_gb() + 0.01


def test_macos_has_no_ceiling_and_says_so(macos):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.warns(UserWarning, match=r"darwin.*memory_gb=3 is not enforced") as seen, memory_ceiling(3):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert seen[0].filename == __file__
    with (
        pytest.raises(MemoryCeiling, match="memory_gb=3"),
        warnings.catch_warnings(action="ignore"),
        memory_ceiling(3),
    ):
        raise MemoryError


def test_a_linux_without_proc_has_no_ceiling_either(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t  2000 kB\nno colon\n")
    with pytest.warns(UserWarning, match="not enforced"), memory_ceiling(3):
        pass
    assert peak_memory_gb() == 2000 * 1024 / 1e9


def test_the_peak_is_in_bytes_on_macos_and_in_kilobytes_elsewhere(macos, monkeypatch):
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3_000_000_000))
    forget_peak()  # cannot be done there, and does no harm
    assert peak_memory_gb() == 3.0
    monkeypatch.setattr("sys.platform", "freebsd14")
    assert peak_memory_gb() == 3072.0


def test_on_macos_psutil_says_what_is_held(macos):
    assert resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)


@pytest.mark.parametrize("name", ["malloc_trim", "malloc_zone_pressure_relief"])
def test_freed_memory_is_given_back_near_the_ceiling_alone_by_what_the_system_has(macos, monkeypatch, name):
    calls = []
    library(monkeypatch, **{name: lambda *args: calls.append(args)})
    held = resident_bytes() / 1e9
    give_back(held * 2)
    assert not calls
    give_back(held)
    assert len(calls) == 1
    library(monkeypatch)  # for instance musl, which has neither
    give_back(held)


def test_weights_that_train_count_with_gradients_and_moments_and_kept_casts_once(spec, m0):
    plain = weight_bytes(m0.model)
    assert plain == sum(p.nbytes for p in m0.model.parameters())
    m0.dtype = torch.bfloat16
    with adapted(m0, spec.model_copy(update={"rank": 1})) as tuned:
        added = sum(p.nbytes for p in tuned.model.parameters() if p.requires_grad)
        assert weight_bytes(tuned.model) == plain + 4 * added
        with torch.no_grad(), tuned.precision():
            tuned.model(input_ids=torch.tensor([[5, 6]]))
        layers = sum(p.numel() for n, p in tuned.model.named_parameters() if "proj.base_layer" in n)
        assert weight_bytes(tuned.model) == plain + 4 * added + 2 * layers


def test_what_autograd_keeps_is_counted_once():
    x, layer = torch.randn(1000, requires_grad=True), torch.nn.Linear(1000, 10)
    assert kept_bytes(lambda: x.exp().sum(), layer) == 4000  # the result of exp
    assert kept_bytes(lambda: (x * x).sum(), layer) == 4000  # x, for both factors
    assert kept_bytes(lambda: layer(x).sum(), layer) == 4000  # x alone, since the weights are there anyway


def test_nothing_that_was_counted_stays():
    x = torch.randn(1000, requires_grad=True)

    def alive():
        gc.collect()
        with warnings.catch_warnings(action="ignore"):
            return sum(isinstance(o, torch.Tensor) for o in gc.get_objects())

    before = alive()
    # Operations that keep what they gave.
    assert kept_bytes(lambda: x.exp().tanh().sum(), torch.nn.Linear(1, 1)) == 8000
    assert alive() == before
