"""Checkpoints of a training that is under way, so that a training that was stopped goes on where it was."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from coupling import files, seals

NAME = "checkpoint.safetensors"
SECONDS = 120.0  # a training writes a checkpoint whenever so much time has passed since the last one


def trainable(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """List the names and parameters that training moves, in a fixed order."""
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    history: list[dict],
    drawn: Any = None,
) -> None:
    """Write the checkpoint of a folder, in the place of the one before it, as one safetensors file.

    The file is replaced as a whole, so that a process that is killed while it writes leaves the older
    checkpoint.

    Args:
        folder: Gets the file `checkpoint.safetensors` and its seal.
        model: Its trainable parameters are kept.
        optimizer: Its state is kept.
        step: The number of steps taken so far.
        history: Their rows; kept as JSON.
        drawn: The state of a random generator, if there is one; kept as JSON.
    """
    tensors = {f"weight.{n}": p.detach().contiguous() for n, p in trainable(model)}
    for name, parameter in trainable(model):  # one that no step has reached has no state
        state = optimizer.state.get(parameter, {})
        tensors |= {f"{k}.{name}": v.contiguous() for k, v in state.items()}
    with seals.sealing(folder / NAME) as part:
        save_file(
            tensors,
            part,
            metadata={"step": str(step), "history": json.dumps(history), "drawn": json.dumps(drawn)},
        )


def reached(folder: Path) -> int:
    """How many steps the checkpoint of a folder has done; 0 without an intact checkpoint."""
    path = folder / NAME
    return int(_about(path)["step"]) if seals.intact(path) else 0


def _about(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as handle:
        return handle.metadata()


@contextmanager
def leaving_later() -> Iterator[Callable[[], bool]]:
    """Let a request to end (SIGTERM) or to interrupt (SIGINT) this process wait until the end of the block.

    The training loop puts each step into such a block, and writes a checkpoint in it if a request has come.
    So a process that is preempted loses nothing. In a thread other than the main one, nothing is delayed.

    Yields:
        A function without arguments. It returns whether a request has come.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {
        number: signal.signal(number, lambda number, _: asked.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in dict.fromkeys(asked):
            os.kill(os.getpid(), number)


def load_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, list[dict], Any]:
    """Read the checkpoint of a folder into model and optimiser, if there is one.

    A checkpoint that is damaged, or that belongs to another run, is said to be and is not taken.

    Returns:
        The number of steps taken so far, their rows, and the state of the random generator that was kept.
        Without a checkpoint: 0, no rows, None; model and optimiser are as they were.
    """
    path = folder / NAME
    if not seals.intact(path):
        if path.exists():
            files.say(f"{path} is damaged, or not of this run: training begins from nothing")
        return 0, [], None
    meta = _about(path)
    tensors = load_file(path, device="cpu")
    state = optimizer.state_dict()
    with torch.no_grad():
        for i, (name, parameter) in enumerate(trainable(model)):
            parameter.copy_(tensors[f"weight.{name}"])
            kept = (k for k in ("step", "exp_avg", "exp_avg_sq") if f"{k}.{name}" in tensors)
            if found := {k: tensors[f"{k}.{name}"] for k in kept}:
                state["state"][i] = found
    optimizer.load_state_dict(state)
    return int(meta["step"]), json.loads(meta["history"]), json.loads(meta["drawn"])
