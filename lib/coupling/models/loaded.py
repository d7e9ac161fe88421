"""A model in memory, as everything else here takes it."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase


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

    def precision(self):
        """The context in which every forward pass runs."""
        return nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype)

    def description(self) -> dict:
        """What follows the machine and is recorded: device, precision, attention kernel, number of weights."""
        return {
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "weights": "+".join(sorted({str(p.dtype).removeprefix("torch.") for p in self.model.parameters()})),
            "attention": self.model.config._attn_implementation,
            "packed": self.packs,
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }


def device() -> torch.device:
    """The machine's accelerator, or the CPU."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
