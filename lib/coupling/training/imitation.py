"""An M0 that is taught the answers of another M0, so that the two come to agree.

Labels of another model can teach nothing about the paper's claim where the two models rarely agree. Here a
prepared M0 learns what another one answers, on items with and without their cue, until both have the same
label on most items. It stays a model of its own architecture. The items are like those of tests: they ask
about all entities alike, and their cues are right as often as chance has it. None is taken from the tests.
"""

from dataclasses import replace

import numpy as np
import torch

from coupling.models import Loaded, ModelError, Seam, continuation_logprobs
from coupling.progress import progress
from coupling.spec import Spec
from coupling.tasks import Item, load_world, task_of
from coupling.tasks.world import World
from coupling.training.lessons import options, right_seam
from coupling.training.preparation import PROBE_EVERY, PROBES

# A constant, as those of a preparation are: a change of it changes every M0 that is made here.
AGREED = 0.8  # on so many items the two models have the same label at the end


def imitate(spec: Spec, own: Loaded, other: Loaded) -> list[dict[str, float]]:
    """Teach a prepared M0 the answers of another one.

    The loss of a step is the mean cross-entropy of the other model's likeliest answers. Training ends as soon
    as a probe finds that the two models have the same label on AGREED of the items of each task.

    Args:
        spec: The spec of the M0 that learns. It takes `m0_steps` steps at the most.
        own: The model that learns. All its weights move.
        other: The model whose answers are learnt, of the same world.

    Returns:
        One row a step: step (from 1), loss, and agreement, the lowest of all tasks (None where there was no
        probe).

    Raises:
        ModelError: If a loss is not finite, or if `m0_steps` do not suffice.
    """
    world, rng = load_world(spec), np.random.default_rng([spec.m0_seed, 1])
    tasks = spec.m0_tasks.split("+")
    probes = {task: _items(task, world, spec, PROBES, np.random.default_rng([PROBES, 1])) for task in tasks}
    own.model.requires_grad_(True)
    optimizer = torch.optim.AdamW(own.model.parameters(), lr=spec.m0_learning_rate, weight_decay=0.0)
    history: list[dict[str, float]] = []
    bar = progress(spec.m0_steps, "teaching M0 the answers of another")
    while not history or (history[-1]["agreement"] or 0.0) < AGREED:
        if len(history) >= spec.m0_steps:
            raise ModelError(_short_of(spec, history))
        bar.update()
        items = [i for task in tasks for i in _items(task, world, spec, spec.m0_batch, rng)]
        loss = _step(own, optimizer, taught(own, items, choices(other, items)))
        if not np.isfinite(loss):
            raise ModelError(f"loss {loss} at step {len(history) + 1}: lower m0_learning_rate")
        history.append({"step": len(history) + 1, "loss": loss, "agreement": None})
        if len(history) % PROBE_EVERY == 0:
            history[-1]["agreement"] = min(agreement(own, other, some) for some in probes.values())
    bar.close()
    own.model.requires_grad_(False)
    return history


def _items(task: str, world: World, spec: Spec, n: int, rng: np.random.Generator) -> list[Item]:
    """Draw items like those of tests; each carries its cue.

    Those of a preparation will not do. Nearly all of their cues are right, so that two models have the same
    label on them whatever each does with a wrong cue.
    """
    alike = replace(world, exposure=np.full(len(world.names), 1 / len(world.names)))
    chance = spec.model_copy(update={"m0_cue_accuracy": 1 / len(task_of(task).choices)})
    return [task_of(task).lessons.example(alike, chance, rng, True)[0] for _ in range(n)]


@torch.no_grad()
def choices(loaded: Loaded, items: list[Item]) -> np.ndarray:
    """Return a model's likeliest answers as choices, on x and on x without its cue; int64 [items, 2]."""
    found = np.empty((len(items), 2), np.int64)
    for task in dict.fromkeys(item.task for item in items):
        which = [k for k, item in enumerate(items) if item.task == task]
        scores = continuation_logprobs(loaded, [options(loaded, items[k]) for k in which])
        found[which] = scores.argmax(2).cpu().numpy()
    return found


def taught(loaded: Loaded, items: list[Item], answers: np.ndarray) -> list[Seam]:
    """Return the places where the answers follow x and x without its cue, two an item."""
    return [
        right_seam(loaded, item, int(choice), has_cue)
        for item, both in zip(items, answers, strict=True)
        for choice, has_cue in zip(both, (True, False), strict=True)
    ]


def agreement(one: Loaded, other: Loaded, items: list[Item]) -> float:
    """Return on which share of the items two models have the same label."""
    a, b = choices(one, items), choices(other, items)
    return float(((a[:, 1] == b[:, 1]) & ((a[:, 0] == a[:, 1]) == (b[:, 0] == b[:, 1]))).mean())


def _step(own: Loaded, optimizer: torch.optim.Optimizer, seams: list[Seam]) -> float:
    loss = -continuation_logprobs(own, [(seam,) for seam in seams])[:, 0, 0].mean()
    if torch.isfinite(loss):
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.item()


def _short_of(spec: Spec, history: list[dict[str, float]]) -> str:
    best = max(row["agreement"] or 0.0 for row in history)
    return (
        f"after m0_steps={spec.m0_steps} the labels of M0 and of {spec.m0_taught_by} agree on {best:.2f} of "
        f"the items of some task, not on {AGREED}: raise m0_steps"
    )
