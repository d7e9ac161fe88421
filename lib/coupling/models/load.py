"""Loading a model by the name that a spec gives: a packaged model, a local folder, or a model of the hub."""

import warnings
from functools import partial
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging
from transformers.utils.peft_utils import find_adapter_config_file

from coupling.errors import StudyError
from coupling.models.loaded import Loaded, device
from coupling.models.packages import PACKAGES, fetch
from coupling.models.template import turn_end
from coupling.models.trial import try_out
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

    Weights are read from safetensors alone, since other formats can hold code. Code that lies beside a model
    is never executed: what transformers cannot load by its own classes is refused.

    With dtype "bfloat16" a GPU holds all weights in bfloat16. A CPU holds the weights of linear layers in it,
    since autocast would cast these anyway, and the rest in float32 (see `halve`).

    Args:
        source: A folder, or a name on the hub.
        dtype: The precision of products: "float32" or "bfloat16".
        revision: The revision on the hub.

    Raises:
        ModelError: If there is no such model, or it cannot be read.
    """
    # What reading a stranger's folder may raise: no file, a wrong value, a missing library or a damaged file.
    try:
        return _load(source, dtype, revision)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, UserWarning, SafetensorError) as error:
        if isinstance(error, StudyError):
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise ModelError(
            f"cannot load {source}: {reason}; take a packaged model or a local folder"
        ) from error


def _load(source: str | Path, dtype: str, revision: str | None) -> Loaded:
    """Load a model as `load_from` does, with the errors of whatever library fails."""
    weights = torch.float32 if device().type == "cpu" else getattr(torch, dtype)
    if quiet():
        logging.disable_progress_bar()
    adapter = _adapter(source, revision)
    base, at = (adapter.base_model_name_or_path, adapter.revision) if adapter else (source, revision)
    own = adapter is None or _has_tokenizer(source)
    tokenizer = _tokenizer(source, revision) if own else _tokenizer(base, at)
    model = _weights(base, weights, at)
    if adapter:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Found missing adapter keys")
            model = PeftModel.from_pretrained(model, source, revision=revision).merge_and_unload()
    _check_numbers(source, model)
    _set_marks(source, model, tokenizer)
    model.requires_grad_(False)
    # transformers hands the output head a strided view of the last position. torch's CPU product in half
    # precision then copies the whole output matrix once for each row: 15 GB for 32 rows of a vocabulary of
    # 150,000.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    loaded = Loaded(model.to(device()).eval(), tokenizer, getattr(torch, dtype))
    try_out(loaded, str(source))
    if loaded.dtype == torch.bfloat16 and loaded.device.type == "cpu":
        halve(loaded.model)
    return loaded


def _adapter(source: str | Path, revision: str | None) -> PeftConfig | None:
    """Return the configuration of an adapter, or None if the source is a whole model.

    transformers would load an adapter beside the weights of its base. A second adapter would then replace it:
    what is trained would start from another model than M0. So adapters are merged into the weights.
    """
    path = find_adapter_config_file(source, revision=revision)
    if path is None:
        return None
    config = PeftConfig.from_pretrained(str(Path(path).parent))
    if not config.base_model_name_or_path:
        raise ModelError(
            f"{source}: adapter_config.json names no base model; set base_model_name_or_path in it"
        )
    if Path(source).is_dir() and not (Path(source) / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"{source} holds no adapter_model.safetensors, and other formats can hold code; "
            "save the adapter as safetensors"
        )
    return config


def _has_tokenizer(source: str | Path) -> bool:
    """Return whether a folder holds a tokenizer. Of an adapter on the hub, the base's tokenizer is taken."""
    return (Path(source) / "tokenizer_config.json").is_file()


def _tokenizer(source: str | Path, revision: str | None) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    if not tokenizer("a b")["input_ids"] or len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(
            f"{source}: its tokenizer has no vocabulary; put tokenizer.json and tokenizer_config.json into it"
        )
    return tokenizer


def _weights(source: str | Path, dtype: torch.dtype, revision: str | None) -> PreTrainedModel:
    """Load the weights, with the attention of torch (SDPA) if the architecture has it, else its plain one."""
    config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    if quantised := getattr(config, "quantization_config", None):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised.quant_method
        raise ModelError(
            f"{source}: its weights are quantised ({method}), and explanations are trained on plain weights; "
            "take the model that it was made from"
        )
    if pointers := [
        p for p in Path(source).glob("*.safetensors") if p.stat().st_size < 1024 and is_pointer(p)
    ]:
        raise ModelError(
            f"{pointers[0]} is a pointer of Git LFS, not the file itself; run `git lfs pull` there"
        )
    given = {"revision": revision, "dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    given["trust_remote_code"] = False
    load = partial(AutoModelForCausalLM.from_pretrained, source, **given)
    try:
        model, about = load(attn_implementation="sdpa")
    except (ImportError, ValueError) as error:
        if "attention" not in str(error):
            raise
        model, about = load(attn_implementation="eager")
    if missing := sorted(about["missing_keys"]):
        raise ModelError(
            f"{source}: its files hold no weights for {_some(missing)}, which would be random; "
            "get the whole model"
        )
    if foreign := sorted(about["unexpected_keys"]):
        warnings.warn(
            f"{source}: its files also hold {_some(foreign)}, which this architecture does not have: "
            "they are left out",
            stacklevel=2,
        )
    return model


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")


def _check_numbers(source: str | Path, model: PreTrainedModel) -> None:
    """Raise ModelError where a weight is no finite number. No copy is made of the weights."""
    bad = [
        name
        for name, weight in model.named_parameters()
        if weight.numel() and not all(bound.isfinite() for bound in torch.aminmax(weight.detach()))
    ]
    if bad:
        raise ModelError(
            f"{source}: {_some(bad)} hold numbers that are not finite (NaN); get the model again"
        )


def is_pointer(path: Path) -> bool:
    """Return whether a file is what Git LFS leaves in the place of a large file."""
    return path.read_bytes().startswith(b"version https://git-lfs")


def _set_marks(source: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let tokenizer and model agree on the marks that end a reply, and find a token to fill rows up with.

    The tokenizer's end mark becomes the one that ends the model's turn. It stands after every label. All
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
