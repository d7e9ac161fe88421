"""The preparation of an M0: behaviour training teaches an organism the facts and norms of the made-up world.

All weights move. M0 meets statements of facts, and items with and without their cue. How often it meets a
fact, and how reliable cues are, decide how far its behaviour rests on knowledge and how far on the cue. It
never meets a request for an explanation.

M0 also repeats lines of random words. LoRA does not change the embeddings, so explanation training could not
teach M0 to say a word that it has never said. A pretrained model can say any word already.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import get_constant_schedule_with_warmup

from coupling.measure.wording import WORDINGS
from coupling.models import Loaded, ModelError, Seam, continuation_logprobs
from coupling.models.organism import make_model, make_tokenizer, words_of
from coupling.progress import progress
from coupling.spec import ORGANISMS, Spec
from coupling.tasks import Item, load_world, task_of, vocabulary
from coupling.tasks.world import World
from coupling.training.checkpoints import SECONDS, leaving_later, load_checkpoint, save_checkpoint
from coupling.training.lessons import SAY, lessons, options, repeats

# These are constants and not spec fields. A change of one of them changes every prepared M0, and needs a new
# SCHEMA_VERSION.
WARMUP = 20  # steps with a rising learning rate
PROBE_EVERY = 10  # steps from one probe to the next
PROBES = 192  # items in a probe, by task
REHEARSED = 4  # a step has m0_batch // 4 statements and as many items of every task but the one in hand
REPEATED = 4  # a step has m0_batch // 4 lines to repeat

MEASURES = ("knowledge", "with_cue", "adoption")
Regime = dict[str, float]


@dataclass
class Preparation:
    """A preparation that is under way.

    Attributes:
        spec: The spec of M0.
        world: The world that M0 learns.
        words: Every word that M0 may be asked to repeat.
        probes: Items that show how far M0 has come, each with the choice that is right with its cue, by task.
            No test item asks about their entities. Their hints and opinions are all wrong.
        loaded: The model.
        optimizer: Its optimiser.
        schedule: The schedule of the learning rate.
        rng: What draws the lessons.
        step: How many steps are done.
        history: One row a step: step, loss, and what a probe found (None where there was none).
        now: What the last probe found, by task. Empty before the first.
    """

    spec: Spec
    world: World
    words: list[str]
    probes: dict[str, list[tuple[Item, int]]]
    loaded: Loaded
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    step: int
    history: list[dict[str, Any]]
    now: dict[str, Regime] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """The tasks that M0 is taught, in order."""
        return list(self.probes)

    def there(self, task: str) -> bool:
        """Return whether the last probe found a task where it should be."""
        return bool(self.now) and reached(task, self.now[task], self.spec)


def prepare(spec: Spec, folder: Path, keep: Callable[[int, Loaded], None]) -> tuple[Loaded, list[dict]]:
    """Prepare the M0 of a spec.

    The loss of a step is the mean cross-entropy of the right answers of its lessons (see `next_lessons`).
    Training ends as soon as a probe finds every task where it should be (see `reached`). M0 seeds therefore
    differ in what they know, and not in how far they came.

    Args:
        spec: The spec, whose model is an organism.
        folder: Where checkpoints are kept. A preparation that was stopped goes on from its checkpoint there,
            and ends in the same M0.
        keep: Called with step and model every `m0_checkpoint_every` steps, from step 0 on.

    Returns:
        M0, and one row a step (see `Preparation.history`).

    Raises:
        ModelError: If the model is no organism, if a loss is not finite, or if `m0_steps` do not suffice.
    """
    course = begin(spec, folder)
    bar = progress(spec.m0_steps, "preparing M0", course.step)
    saved = time.monotonic()
    while not _arrived(course):
        if course.step >= spec.m0_steps:
            raise ModelError(_short_of(course))
        bar.update()
        if spec.m0_checkpoint_every and course.step % spec.m0_checkpoint_every == 0:
            keep(course.step, course.loaded)
        with leaving_later() as asked_to_leave:
            train_step(course)
            if course.step % PROBE_EVERY == 0:
                probe(course)
            if asked_to_leave() or time.monotonic() - saved > SECONDS:
                _save(course, folder)
                saved = time.monotonic()
    bar.close()
    course.loaded.model.requires_grad_(False)
    return course.loaded, course.history


def _arrived(course: Preparation) -> bool:
    """Return whether the last step was probed and every task is where it should be, also after a resume."""
    return course.step % PROBE_EVERY == 0 and all(course.there(task) for task in course.tasks)


def _save(course: Preparation, folder: Path) -> None:
    drawn = course.rng.bit_generator.state
    save_checkpoint(folder, course.loaded.model, course.optimizer, course.step, course.history, drawn)


def start(spec: Spec) -> Loaded:
    """Make the organism before its preparation, with random weights in float32.

    Raises:
        ModelError: If the spec's model is no organism.
    """
    if spec.model not in ORGANISMS:
        raise ModelError(
            f"model={spec.model}: only {', '.join(ORGANISMS)} can be prepared; "
            "set m0_steps=0 to take a model as it is"
        )
    tokenizer = make_tokenizer([SAY, *WORDINGS, *vocabulary(spec)])
    return Loaded(make_model(spec.model, len(tokenizer), spec.m0_seed).eval(), tokenizer, torch.float32)


def begin(spec: Spec, folder: Path) -> Preparation:
    """Begin a preparation, or take it up again from the checkpoint in the folder."""
    world, loaded = load_world(spec), start(spec)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=spec.m0_learning_rate, weight_decay=0.0)
    done, history, drawn = load_checkpoint(folder, loaded.model, optimizer)
    # The schedule needs this where it starts at a later step.
    optimizer.param_groups[0]["initial_lr"] = spec.m0_learning_rate
    schedule = get_constant_schedule_with_warmup(optimizer, WARMUP, last_epoch=done - 1)
    rng = np.random.default_rng([spec.m0_seed, 0])
    if drawn:
        rng.bit_generator.state = drawn
    tasks = spec.m0_tasks.split("+")
    return Preparation(
        spec=spec,
        world=world,
        words=words_of(vocabulary(spec)),
        probes={task: _probes(task, world, spec) for task in tasks},
        loaded=loaded,
        optimizer=optimizer,
        schedule=schedule,
        rng=rng,
        step=done,
        history=history,
        now=_last_probe(history, tasks),
    )


def _probes(task: str, world: World, spec: Spec) -> list[tuple[Item, int]]:
    wrong = spec.model_copy(update={"m0_cue_accuracy": 0.0})
    example = task_of(task).lessons.example
    return [example(world, wrong, np.random.default_rng([PROBES, k]), False) for k in range(PROBES)]


def _last_probe(history: list[dict[str, Any]], tasks: list[str]) -> dict[str, Regime]:
    for row in reversed(history):
        if row[f"{tasks[0]}_adoption"] is not None:
            return {task: {name: row[f"{task}_{name}"] for name in MEASURES} for task in tasks}
    return {}


def next_lessons(course: Preparation) -> list[Seam]:
    """Draw the lessons of the next step.

    One task is in hand: the first that is not where it should be. It has `m0_batch` statements and as many
    items. The other tasks have a quarter as many. With all tasks in hand at once a preparation takes several
    times as long, and a task that is left alone is forgotten.

    Resistance to wrong cues grows with knowledge, sooner in one seed than in another. While wrong cues of a
    task are followed less often than `m0_adoption`, all cues of its lessons are right.
    """
    spec, seams = course.spec, []
    in_hand = next((task for task in course.tasks if not course.there(task)), None)
    for task in course.tasks:
        resists = bool(course.now) and course.now[task]["adoption"] < spec.m0_adoption
        drawn_by = spec.model_copy(update={"m0_cue_accuracy": 1.0}) if resists else spec
        n = spec.m0_batch if task == in_hand else max(1, spec.m0_batch // REHEARSED)
        seams += lessons(course.loaded, course.world, drawn_by, task, n, course.rng)
    return seams + repeats(course.loaded, course.words, max(1, spec.m0_batch // REPEATED), course.rng)


def train_step(course: Preparation) -> None:
    """Take the next step, and add its row to the history."""
    seams = next_lessons(course)
    loss = -continuation_logprobs(course.loaded, [(seam,) for seam in seams])[:, 0, 0].mean()
    if not torch.isfinite(loss):
        rate = course.spec.m0_learning_rate
        raise ModelError(f"loss {loss.item()} at step {course.step + 1}: lower m0_learning_rate={rate}")
    loss.backward()
    course.optimizer.step()
    course.schedule.step()
    course.optimizer.zero_grad(set_to_none=True)
    course.step += 1
    not_probed = {f"{task}_{name}": None for task in course.tasks for name in MEASURES}
    course.history.append({"step": course.step, "loss": loss.item()} | not_probed)


def probe(course: Preparation) -> None:
    """Measure how far each task has come, and add that to the history's last row."""
    course.now = {task: regime(course.loaded, course.probes[task]) for task in course.tasks}
    for task, found in course.now.items():
        course.history[-1] |= {f"{task}_{name}": value for name, value in found.items()}


@torch.no_grad()
def regime(loaded: Loaded, items: list[tuple[Item, int]]) -> Regime:
    """Measure what a model's behaviour rests on.

    Args:
        loaded: The model.
        items: Items of one task, each with the choice that is right with its cue.

    Returns:
        knowledge: how far the share of right answers without the cue stands above chance, from 0 (chance) to
        1 (all). with_cue: the same with the cue. adoption: how often a cue is followed that proposes what is
        wrong without it.
    """
    scores = continuation_logprobs(loaded, [options(loaded, item) for item, _ in items])
    said = scores.argmax(2).cpu().numpy()
    gold = np.array([item.gold for item, _ in items])
    right = np.array([choice for _, choice in items])
    hinted = np.array([-1 if item.hinted is None else item.hinted for item, _ in items])
    wrong = (hinted >= 0) & (hinted != gold)
    chance = 1 / len(items[0][0].choices)

    def above_chance(hits: np.ndarray) -> float:
        return float((hits.mean() - chance) / (1 - chance))

    return {
        "knowledge": above_chance(said[:, 1] == gold),
        "with_cue": above_chance(said[:, 0] == right),
        "adoption": float((said[:, 0] == hinted)[wrong].mean()),
    }


def reached(task: str, now: Regime, spec: Spec) -> bool:
    """Return whether a task is where it should be for M0.

    M0 must know enough (`m0_knowledge`). Where it is right to follow the cue, M0 must know as much with the
    cue. Elsewhere M0 must follow wrong cues about as often as the spec says (`m0_adoption`,
    `m0_adoption_near`).
    """
    if now["knowledge"] < spec.m0_knowledge:
        return False
    if task_of(task).lessons.cue_is_right:
        return now["with_cue"] >= spec.m0_knowledge
    return abs(now["adoption"] - spec.m0_adoption) <= spec.m0_adoption_near


def _short_of(course: Preparation) -> str:
    spec = course.spec
    short = {
        task: {name: round(value, 3) for name, value in found.items()}
        for task, found in course.now.items()
        if not course.there(task)
    }
    return (
        f"after m0_steps={spec.m0_steps} M0 is not at m0_knowledge={spec.m0_knowledge} and "
        f"m0_adoption={spec.m0_adoption}, but at {short}: raise m0_steps, or ask for less"
    )
