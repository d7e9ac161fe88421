"""Models: fetched, loaded, adapted, read and sampled from.

packages.py fetches, load.py loads, organism.py makes small ones, adapter.py adds LoRA, template.py makes the
text and tokens that a model reads. trees.py puts texts that begin alike into one row and packing.py computes
it; scoring.py and decoding.py read log-probabilities and greedy texts off it. fused.py makes fewer operations
of a decoder layer. halves.py and memory.py fit models to the machine.
"""

from coupling.models.adapter import adapted, merged, probed
from coupling.models.decoding import Read, decoded, generated
from coupling.models.load import ModelError, load_from, locate
from coupling.models.loaded import Loaded, device
from coupling.models.packages import PACKAGES, FetchError, fetch, is_here
from coupling.models.packing import packed_logits
from coupling.models.scoring import (
    TailReader,
    Tails,
    continuation_logprobs,
    fed,
    find_tails,
    head_inputs,
    plain_logprobs,
    read_found,
    read_tails,
)
from coupling.models.template import Seam, TemplateError, completion, encode, ended, pad, render, seam
from coupling.models.trees import pack, prefix_tree

__all__ = [
    "PACKAGES",
    "FetchError",
    "Loaded",
    "ModelError",
    "Read",
    "Seam",
    "TailReader",
    "Tails",
    "TemplateError",
    "adapted",
    "completion",
    "continuation_logprobs",
    "decoded",
    "device",
    "encode",
    "ended",
    "fed",
    "fetch",
    "find_tails",
    "generated",
    "head_inputs",
    "is_here",
    "load_from",
    "locate",
    "merged",
    "pack",
    "packed_logits",
    "pad",
    "plain_logprobs",
    "prefix_tree",
    "probed",
    "read_found",
    "read_tails",
    "render",
    "seam",
]
