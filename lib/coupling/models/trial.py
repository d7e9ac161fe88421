"""The trial of a model when it is loaded: which ways of running it give right numbers.

An architecture may ignore a mask, keep states in another kind of cache, or compute attention in a way that
torch's kernel does not know. So each faster way is tried on a few tokens against the plainest one: every
sequence alone, without padding, without a cache, with the attention that the architecture itself defines.
"""

import warnings
from dataclasses import replace

import torch

from coupling.models.loaded import Loaded
from coupling.models.packing import allowed, each_alone, far, takes_trees
from coupling.models.scoring import plain_logprobs, whole_logprobs
from coupling.models.template import Seam

SEQUENCES = [[5, 6, 7, 8], [9, 7], [5, 10, 11, 12, 13]]
SEAMS = [Seam((5, 6, 7), ((8, 9), (10,))), Seam((11,), ((12, 13, 14), (6, 5))), Seam((9, 5), ((7,), (8,)))]


def try_out(loaded: Loaded, name: str) -> None:
    """Find the ways in which a model can be run, and set its attention, `packs` and `pads` accordingly.

    Args:
        loaded: The model, as loaded.
        name: What the model is called in warnings, which say what it cannot do.
    """
    exact = replace(loaded, dtype=loaded.model.dtype)  # compared as exactly as the weights allow
    if why := kernel_differs(exact):
        loaded.model.set_attn_implementation("eager")
        warnings.warn(f"{name} runs with its own attention, more slowly: {why}", stacklevel=3)
    if why := takes_trees(loaded):
        loaded.packs = False
        warnings.warn(
            f"{name} cannot take packed prefix trees and runs in plain batches, more slowly: {why}",
            stacklevel=3,
        )
        if why := padding_differs(exact):
            loaded.pads = False
            warnings.warn(
                f"{name} cannot take padded batches either, so each text is computed by itself: {why}",
                stacklevel=3,
            )


def kernel_differs(loaded: Loaded) -> str | None:
    """Test whether torch's attention kernel gives what the architecture's own attention gives.

    Returns:
        None if it does, or if it is not used; else what went wrong. The model is then as it was.
    """
    before = loaded.model.config._attn_implementation
    if before != "sdpa":
        return None
    try:
        loaded.model.set_attn_implementation("eager")
        wanted = each_alone(loaded, SEQUENCES)
    except Exception:  # an architecture without an attention of its own
        return None
    finally:
        loaded.model.set_attn_implementation(before)
    try:
        off = far(each_alone(loaded, SEQUENCES), wanted)
    except Exception as error:  # whatever the code of any architecture may raise
        return _said(error)
    return None if off < allowed(loaded) else f"torch's attention is off by {off:.2g} standard deviations"


@torch.no_grad()
def padding_differs(loaded: Loaded) -> str | None:
    """Test whether padded batches that go on after kept keys and values give what whole texts alone give.

    Returns:
        None if they do, else what went wrong.
    """
    wanted = whole_logprobs(loaded, SEAMS)
    real = wanted.isfinite()
    try:
        off = float((plain_logprobs(loaded, SEAMS) - wanted)[real].abs().max())
    except Exception as error:  # whatever the code of any architecture may raise
        return _said(error)
    return None if off < allowed(loaded) * 10 else f"log-probabilities are off by {off:.2g}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
