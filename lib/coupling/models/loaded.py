"""A model in memory, as everything else here takes it."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coupling.models.halves import fast_products


@dataclass
class Loaded:
    """A causal language model with its tokenizer. dtype: precision of its products; in bfloat16 they run under autocast.

    packs: whether prefix trees may be packed into rows for it; without, plain padded batches give the same numbers. system: what it is told
    above every prompt, if anything.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: torch.dtype
    packs: bool = True
    system: str = ""

    @property
    def device(self) -> torch.device:
        return self.model.device

    @contextmanager
    def precision(self) -> Iterator[None]:
        """The context in which every forward pass runs."""
        with (
            self.products(),
            nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype),
        ):
            yield

    def products(self) -> AbstractContextManager:
        """The context in which every backward pass runs: products in this precision, as fast as the machine can."""
        return nullcontext() if self.dtype == torch.float32 else fast_products(self.device)

    def description(self) -> dict:
        """What follows the machine and is recorded: device, precision, attention kernel, number of weights."""
        return {
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "weights": "+".join(
                sorted({str(p.dtype).removeprefix("torch.") for p in self.model.parameters()})
            ),
            "attention": self.model.config._attn_implementation,
            "packed": self.packs,
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }


def device() -> torch.device:
    """The machine's accelerator, or the CPU. Of several GPUs, one that no other run on this machine has taken."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(slot(torch.cuda.device_count(), Path(tempfile.gettempdir())))
    return torch.device("cuda", torch.cuda.current_device())


@cache
def slot(slots: int, folder: Path) -> int:
    """The first of so many slots that no other process holds, held until this process ends; the first of all where none is free."""
    for k in range(slots):
        handle = (folder / f"coupling-gpu-{k}.lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
        else:
            _held.append(handle)
            return k
    return 0


_held: list = []  # the kernel frees a lock with its file
