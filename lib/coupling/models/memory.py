"""Memory: a ceiling that ends a run instead of the machine, and what a training pass holds."""

import ctypes
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from coupling.errors import StudyError

PROCESS_BYTES = 1_000_000_000  # interpreter, libraries and what they allocate: 0.7 to 0.9 GB here
RENEWED, FULL = 0.2, 0.7
# how torch, oneDNN (met at the ceiling in an evaluation) and the mapping of a file say that they were refused memory
REFUSED = (
    "can't allocate memory",
    "not enough memory",
    "could not create a primitive",
    "Cannot allocate memory",
)
SLACK = 2.0  # a backward pass holds gradients of activations for a while beside what was kept for it; at 1.5 passes that filled the room met the ceiling


class MemoryCeiling(StudyError, RuntimeError):
    """A run needed more memory than its spec allows."""


@contextmanager
def memory_ceiling(gigabytes: float) -> Iterator[None]:
    """Within the block, an allocation beyond the ceiling raises MemoryCeiling instead of exhausting the machine.

    On CPUs the kernel refuses it (RLIMIT_DATA, Linux), on GPUs torch's allocator does; elsewhere there is no ceiling.
    What the process has reserved and not touched (thread stacks, arenas: 1 to 3 GB) does not count; it grows, so a thread
    looks again every RENEWED seconds.
    """
    limit = int(gigabytes * 1e9)
    message = f"the run needs more than memory_gb={gigabytes:g}: lower eval_batch, or raise memory_gb"
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
    elif sys.platform == "linux":
        before = resource.getrlimit(resource.RLIMIT_DATA)
        over = threading.Event()

        def allow() -> None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit + _untouched(), before[1]))

        def renew() -> None:
            while not over.wait(RENEWED):
                allow()

        allow()
        renewing = threading.Thread(target=renew, daemon=True)
        renewing.start()
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise MemoryCeiling(message) from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in REFUSED):
            raise MemoryCeiling(message) from error
        raise
    finally:
        if not torch.cuda.is_available() and sys.platform == "linux":
            over.set()
            renewing.join()
            resource.setrlimit(resource.RLIMIT_DATA, before)


def give_back(gigabytes: float) -> None:
    """Return to the system what was freed and malloc keeps, once more than FULL of the ceiling is held (Linux, CPU).

    Passes of ever other sizes leave holes: a model of 1.5 billion weights held 5 GB between its steps, 9.6 with the holes, and
    after some thirty steps 12.
    """
    if (
        sys.platform == "linux"
        and not torch.cuda.is_available()
        and _held("RssAnon") > FULL * gigabytes * 1e9
    ):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


def _untouched() -> int:
    """Bytes that this process has reserved for data and never touched (Linux)."""
    return max(0, _held("VmData") - _held("RssAnon"))


def _held(kind: str) -> int:
    """Bytes of one kind that the system counts for this process (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[kind].split()[0]) * 1024


def peak_memory_gb() -> float:
    """The most memory this process has held since `forget_peak`: on the GPU if there is one, else resident; 10^9 bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    if sys.platform == "linux":
        return _held("VmHWM") / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def forget_peak() -> None:
    """Begin `peak_memory_gb` anew, where the system can (GPUs, Linux): a kernel may hold several runs."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def machine_megabytes() -> int:
    """Memory that this machine or, if less, its container gives to all processes together; 10^6 bytes."""
    limit = Path("/sys/fs/cgroup/memory.max")
    contained = [int(limit.read_text())] if limit.is_file() and limit.read_text().strip().isdigit() else []
    return min([psutil.virtual_memory().total, *contained]) // 10**6


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of a model's parameters, of the gradients and AdamW's two moments of those that train, and of kept casts."""
    held = sum(p.nbytes * (4 if p.requires_grad else 1) for p in model.parameters())
    kept = {
        w.data_ptr(): w.nbytes
        for m in model.modules()
        if "_kept" in m.__dict__
        for w in m.__dict__["_kept"][1][:1]
    }
    return held + sum(
        n for place, n in kept.items() if place not in {p.data_ptr() for p in model.parameters()}
    )


def kept_bytes(forward: Callable[[], object], model: torch.nn.Module) -> int:
    """Bytes that autograd keeps after a forward pass for its backward pass, each storage once, the model's weights aside."""
    weights = {id(s): s for s in (p.untyped_storage() for p in model.parameters())}
    held: dict[
        int, torch.UntypedStorage
    ] = {}  # not by their addresses, which all have in common on the meta device

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        held[id(storage)] = storage
        return tensor.detach()  # with its history, an operation's output would hold what holds it, and nothing here would ever be freed

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()  # alive until all are counted, so that no id stands for two
    total = sum(s.nbytes() for i, s in held.items() if i not in weights)
    del result
    return total


def checkpoint_layers(model: torch.nn.Module) -> None:
    """Let every decoder layer keep its input alone and compute the rest again in the backward pass."""
    model.activation_checkpointing_enable({"use_reentrant": False})
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.training = True  # transformers checkpoints in training mode only; what lies inside stays in evaluation mode
