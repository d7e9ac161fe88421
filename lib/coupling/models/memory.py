"""Memory: how much a process holds, a ceiling for it, and what a training pass keeps.

What a system can do differs:

                   GPU                 CPU, Linux                    CPU, macOS
    ceiling        kept by torch       kept by the kernel (RLIMIT)   none, and a warning says so
    what is held   (not asked)         /proc/self/status             psutil
    peak           counted by torch    /proc/self/status             getrusage
    forget_peak    yes                 yes                           no: counted from the process's start
    give_back      (not needed)        malloc_trim of glibc          malloc_zone_pressure_relief

A Linux without /proc goes the way of macOS.
"""

import contextlib
import ctypes
import resource
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from coupling.errors import StudyError
from coupling.models.adapter import kept_casts

PROC = Path("/proc/self")  # where Linux says what this process holds
PROCESS_BYTES = 1_000_000_000  # interpreter, libraries and what these allocate: 0.7 to 0.9 GB as measured
# The least that a run may take beside what its process holds. With less, not even a thread of this process
# gets its stack, and libraries wait for ever for a thread that never begins.
ROOM = 100_000_000
RENEWED = 0.2  # seconds after which the limit that the kernel holds is set anew
FULL = 0.7  # share of the ceiling beyond which freed memory is given back to the system
# What torch, oneDNN and the mapping of a file say when they were refused memory.
REFUSED = (
    "can't allocate memory",
    "not enough memory",
    "could not create a primitive",
    "Cannot allocate memory",
)
# A backward pass needs this many times what autograd kept for it, since for a while it holds the gradients of
# activations as well. With 1.5 in its place, passes that filled the room met the ceiling.
SLACK = 2.0


class MemoryCeiling(StudyError, RuntimeError):
    """A run needs more memory than its spec allows."""


@contextmanager
def memory_ceiling(gigabytes: float) -> Iterator[None]:
    """Limit the memory of this process, so that a run fails before the machine does.

    On a CPU under Linux the kernel keeps the limit, within the block. On a GPU torch's allocator keeps it,
    and goes on after the block. Elsewhere there is no limit, and a warning says so.

    Args:
        gigabytes: The ceiling in 10^9 bytes.

    Raises:
        MemoryCeiling: If the process holds as much before the block begins, or if an allocation in the block
            was refused.
    """
    limit = int(gigabytes * 1e9)
    message = f"the run needs more than memory_gb={gigabytes:g}: lower eval_batch, or raise memory_gb"
    try:
        with _limited(limit):
            yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise MemoryCeiling(message) from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in REFUSED):
            raise MemoryCeiling(message) from error
        raise


@contextmanager
def _limited(limit: int) -> Iterator[None]:
    """Let the system refuse what goes beyond so many bytes within the block, if it can.

    The kernel's limit counts what the process has reserved for data, touched or not. What was reserved and
    not touched (thread stacks and arenas, 1 to 3 GB) must not count, so it is added to the limit. It grows,
    so a thread adds it anew every RENEWED seconds.
    """
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
        yield
        return
    if sys.platform != "linux" or _untouched() is None:
        warnings.warn(
            f"this system ({sys.platform}) has no memory ceiling: memory_gb={limit / 1e9:g} is not enforced, "
            "so watch the machine's memory",
            stacklevel=5,
        )
        yield
        return
    if limit < (held := resident_bytes()) + ROOM:
        raise MemoryCeiling(
            f"memory_gb={limit / 1e9:g}: this process holds {held / 1e9:.2f} GB before the run begins, so no "
            "run fits: raise memory_gb"
        )
    before = resource.getrlimit(resource.RLIMIT_DATA)
    over = threading.Event()

    def allow() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit + (_untouched() or 0), before[1]))

    def renew() -> None:
        while not over.wait(RENEWED):
            allow()

    allow()
    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        resource.setrlimit(resource.RLIMIT_DATA, before)


def give_back(gigabytes: float) -> None:
    """Return freed memory that malloc keeps to the system, once the process holds FULL of its ceiling.

    Passes of different sizes leave holes in malloc's memory, so that a process comes to hold far more than it
    uses (notebooks/LOG.md, "medium trains within 12 GB"). GPUs need nothing of this kind.

    Args:
        gigabytes: The ceiling in 10^9 bytes.
    """
    if torch.cuda.is_available() or resident_bytes() <= FULL * gigabytes * 1e9:
        return
    library = ctypes.CDLL(None)
    if trim := getattr(library, "malloc_trim", None):  # glibc
        trim(0)
    elif relieve := getattr(library, "malloc_zone_pressure_relief", None):  # macOS; 0, 0: all of all zones
        relieve(ctypes.c_void_p(0), ctypes.c_size_t(0))


def resident_bytes() -> int:
    """Return the bytes of data that this process holds in memory.

    On Linux files that are mapped do not count, such as a model's weights that lie in their file. psutil,
    which is asked elsewhere, counts them.
    """
    held = _status("RssAnon")
    return psutil.Process().memory_info().rss if held is None else held


def _untouched() -> int | None:
    """Return the bytes that this process has reserved and never touched; None where nothing tells."""
    reserved, held = _status("VmData"), _status("RssAnon")
    return None if reserved is None or held is None else max(0, reserved - held)


def _status(kind: str) -> int | None:
    """Return the bytes of a kind that Linux counts for this process, as "VmHWM"; None where it does not."""
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(found[kind].split()[0]) * 1024 if kind in found else None


def peak_memory_gb() -> float:
    """Return the most memory that this process has held, in 10^9 bytes.

    It is the GPU's if there is one, else what was resident. It is counted from the last `forget_peak` on GPUs
    and on Linux, elsewhere from the start of the process.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    if (peak := _status("VmHWM")) is not None:
        return peak / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kilobytes on other systems
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def forget_peak() -> None:
    """Count `peak_memory_gb` anew from here, where the system can.

    One process, for instance a notebook's, may do several runs.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):  # macOS has no such file, and some containers forbid writing it
        (PROC / "clear_refs").write_text("5")


def weight_bytes(model: torch.nn.Module) -> int:
    """Count the bytes that a model's weights need in training.

    They are the weights themselves; for those that train also their gradients and AdamW's two moments, each
    as large; and the casts that accelerated LoRA layers keep (models/adapter.py).
    """
    held = sum(p.nbytes * (4 if p.requires_grad else 1) for p in model.parameters())
    # A cast to the precision that a weight already has is that weight itself.
    kept = {cast.data_ptr(): cast.nbytes for cast in kept_casts(model)}
    return held + sum(
        n for place, n in kept.items() if place not in {p.data_ptr() for p in model.parameters()}
    )


def kept_bytes(forward: Callable[[], object], model: torch.nn.Module) -> int:
    """Count the bytes that autograd keeps after a forward pass for the backward pass.

    Args:
        forward: Runs the forward pass.
        model: The model, whose weights are not counted.

    Returns:
        How many bytes are held, each storage counted once.
    """
    weights = {id(s): s for s in (p.untyped_storage() for p in model.parameters())}
    # By identity and not by address, since on the meta device all storages have the same address.
    held: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        held[id(storage)] = storage
        # Without `detach` an operation's output would hold, by its history, what holds it, and never be
        # freed.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()  # stays alive until all are counted, so that no identity stands for two storages
    total = sum(s.nbytes() for i, s in held.items() if i not in weights)
    del result
    return total


def checkpoint_layers(model: torch.nn.Module) -> None:
    """Switch on activation checkpointing.

    Every decoder layer then keeps its input alone and is computed again in the backward pass.
    """
    model.activation_checkpointing_enable({"use_reentrant": False})
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            # transformers checkpoints layers in training mode only. What lies inside stays in evaluation
            # mode.
            layer.training = True
