"""Checkpoints of a training that is under way, so that one which was stopped goes on where it was."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from coupling import files

SECONDS = 120.0  # between checkpoints


def trainable(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """The parameters that training moves, by name, in a fixed order."""
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    history: list[dict],
    drawn: Any = None,
) -> None:
    """Replace the checkpoint: what trains and the optimiser's state as safetensors, the rest as JSON inside the same file. drawn: the
    state of a generator, if there is one."""
    tensors = {f"weight.{n}": p.detach().contiguous() for n, p in trainable(model)}
    for (name, _), state in zip(trainable(model), optimizer.state_dict()["state"].values(), strict=False):
        tensors |= {f"{k}.{name}": v.contiguous() for k, v in state.items()}
    with files.replacing(folder / "checkpoint.safetensors") as part:
        save_file(
            tensors,
            part,
            metadata={"step": str(step), "history": json.dumps(history), "drawn": json.dumps(drawn)},
        )


def load_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, list[dict], Any]:
    """Restore the checkpoint into model and optimiser, if there is one; returns its step (0 without), history and generator's state."""
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        return 0, [], None
    with safe_open(path, framework="pt") as handle:
        meta = handle.metadata()
    tensors = load_file(path, device="cpu")
    state = optimizer.state_dict()
    with torch.no_grad():
        for i, (name, parameter) in enumerate(trainable(model)):
            parameter.copy_(tensors[f"weight.{name}"])
            state["state"][i] = {
                k: tensors[f"{k}.{name}"]
                for k in ("step", "exp_avg", "exp_avg_sq")
                if f"{k}.{name}" in tensors
            }
    optimizer.load_state_dict(state)
    return int(meta["step"]), json.loads(meta["history"]), json.loads(meta["drawn"])
