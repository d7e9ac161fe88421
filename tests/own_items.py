"""A user's own items and micro model, as files, and values with which a study of them takes seconds."""

import json

import torch
from micro import VALUES, micro_model

FEW = {name: value for name, value in VALUES.items() if name != "profile"}


def own_files(folder, items=16):
    """Write items.jsonl and the folder `micro` with a random model. Returns both paths."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        micro_model(folder / "micro")
    path = folder / "items.jsonl"
    path.write_text("\n".join(json.dumps(row(k)) for k in range(items)))
    return path, folder / "micro"


def row(k, **change):
    """One item, of the training split for even k."""
    about = {"id": f"q{k}", "group": f"g{k}", "split": ("train", "test")[k % 2], "choices": ["A", "B"]}
    return about | {"prompt": f"Question {k}?\nHint: B", "cue": "\nHint: B", "hinted": 1} | change


def words(values):
    """Values of the spec as words of a command line."""
    return [w for n, v in values.items() for w in ([f"--{n}"] if v is True else [f"--{n}", str(v)])]
