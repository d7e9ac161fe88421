"""GGUF models converted to safetensors, the format that the study reads.

A GGUF file says of itself how large it is. A damaged or hostile file may say anything, so its claims are held
against its size before anything of that size is built.
"""

import importlib.util
from pathlib import Path

from coupling import files
from coupling.models.pieces import FetchError

MOST_LAYERS = 1000
WEIGHTS_PER_BYTE = 8  # no format of GGUF holds a weight in less than a bit


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Convert a GGUF model to safetensors.

    Args:
        gguf: The GGUF file. Its weights may be quantised.
        folder: Gets the model with float32 weights, and its tokenizer.

    Raises:
        FetchError: If the package that reads GGUF files is not installed, or if the file is damaged or claims
            to hold more than its bytes can hold.
    """
    if not importlib.util.find_spec("gguf"):
        raise FetchError(
            f"{gguf} cannot be converted here: pip install gguf, or carry the converted folder here from a "
            f"machine where `coupling fetch` made it, in {files.models_dir()}"
        )
    try:
        _check_claims(gguf)
        _convert(gguf, folder)
    except OSError as error:
        if error.errno:  # of the disk, and not of what the file says
            raise
        raise _refused(gguf, error) from error
    except Exception as error:  # what a file that lies makes its readers raise is of any kind
        if isinstance(error, FetchError):
            raise
        raise _refused(gguf, error) from error


def _refused(gguf: Path, error: Exception) -> FetchError:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
    return FetchError(f"{gguf} cannot be converted: {reason}; the file is damaged, get it again")


def _check_claims(gguf: Path) -> None:
    """Raise FetchError where the model that a file describes has more weights than the file can hold."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    most, layers = WEIGHTS_PER_BYTE * gguf.stat().st_size, config.get_text_config().num_hidden_layers
    if layers > MOST_LAYERS:
        raise FetchError(f"{gguf} claims {layers} layers, and {MOST_LAYERS} are the most: get the file again")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    weights = sum(parameter.numel() for parameter in model.parameters())
    if weights > most:
        raise FetchError(
            f"{gguf} claims {weights} weights, and its {gguf.stat().st_size} bytes hold {most} at the most: "
            "get the file again"
        )


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, trust_remote_code=False)
    # Without this, transformers 5 saves the de-quantised model as a GGUF-quantised one, which nothing can
    # load.
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source, trust_remote_code=False).save_pretrained(folder)
