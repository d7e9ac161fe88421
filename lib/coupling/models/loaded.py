"""A model in memory, as the rest of the library takes it, and the device that it is on."""

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
    """A causal language model with its tokenizer.

    Attributes:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer, with a padding token.
        dtype: The precision of its products: float32, or bfloat16, in which they run under autocast.
        packs: Whether it can take packed prefix trees (models/packing.py). If not, plain padded batches give
            the same numbers, more slowly.
        system: What the model is told above every prompt; empty for nothing.
        pads: Whether a model that cannot take trees can at least take padded batches, and go on after the
            keys and values that it kept. If not, it reads every text by itself.
        shares: Whether a pass computes tokens with which all its trees begin only once.
        picks: Whether the last layer of a packed pass picks the tokens whose logits are wanted (fused.py).
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: torch.dtype
    packs: bool = True
    system: str = ""
    pads: bool = True
    shares: bool = False
    picks: bool = False

    @property
    def ends(self) -> tuple[int, ...]:
        """The ids of the tokens that end a reply, each once.

        First comes the tokenizer's end mark, which also stands after what the model is trained to say. Then
        come the marks that the model's own configuration of generation names.
        """
        named = self.model.generation_config.eos_token_id
        named = named if isinstance(named, list | tuple) else [named]
        marks = dict.fromkeys([self.tokenizer.eos_token_id, *named])
        return tuple(mark for mark in marks if mark is not None)

    @property
    def device(self) -> torch.device:
        """The device that the model's weights are on."""
        return self.model.device

    @contextmanager
    def precision(self) -> Iterator[None]:
        """Run a forward pass within this context: its products then have the model's precision."""
        with (
            self.products(),
            nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype),
        ):
            yield

    def products(self) -> AbstractContextManager:
        """Return the context for a backward pass: products are as fast there as the machine can make them."""
        return nullcontext() if self.dtype == torch.float32 else fast_products(self.device)

    def description(self) -> dict:
        """Return what depends on the machine and is recorded with a run, such as device and precision."""
        gpu = {"gpu": torch.cuda.get_device_name(self.device)} if self.device.type == "cuda" else {}
        return gpu | {
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
    """Return the machine's GPU, or the CPU; of several GPUs one that no other run has taken."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(slot(torch.cuda.device_count(), Path(tempfile.gettempdir())))
    return torch.device("cuda", torch.cuda.current_device())


@cache
def slot(slots: int, folder: Path) -> int:
    """Take the first slot that no other process holds, and hold it until this process ends.

    A slot is held by a lock on a file of the folder. The kernel frees the lock when the process ends, however
    it ends.

    Args:
        slots: How many slots there are.
        folder: Where the lock files lie; the same for all processes.

    Returns:
        The number of the slot; 0, shared with another process, if all are taken.
    """
    for k in range(slots):
        try:
            handle = (folder / f"coupling-gpu-{k}.lock").open("w")
        except OSError:  # a file of another user
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
        else:
            _held.append(handle)
            return k
    return 0


_held: list = []  # the open lock files; closing one would free its lock
