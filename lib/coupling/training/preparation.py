"""M0's preparation: a model learns the facts and norms of the made-up world by behaviour training, all its weights moving.

It meets statements of facts, and questions, stories and requests with and without cues. How often it met a fact, and how
reliable the cues were, set how far its behaviour rests on knowledge and how far on the cue. It never meets a request for
an explanation. A model that starts from nothing also repeats lines of random words, so that it can say any word it is later
asked to, as a pretrained one can: LoRA leaves the embeddings as they are, and without this the words of the labels stay noise.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import get_constant_schedule_with_warmup

from coupling.measure.behaviours import behaviour_seams, behaviour_texts
from coupling.measure.explanations import WORDINGS
from coupling.models import (
    Loaded,
    ModelError,
    Seam,
    completion,
    continuation_logprobs,
    load_from,
    locate,
    render,
)
from coupling.models.organism import make_model, make_tokenizer, words_of
from coupling.progress import progress
from coupling.spec import ORGANISMS, Spec
from coupling.tasks import OPENING, Item, load_world, task_of, vocabulary
from coupling.tasks.world import World
from coupling.training.checkpoints import SECONDS, load_checkpoint, save_checkpoint

WARMUP, PROBES, PROBE_EVERY = 20, 192, 10  # steps, items, steps: fixed, so that M0 is what the spec says
SAY, REPEATED = "Say", 4  # words to repeat: as many lines as a quarter of a batch, of one to four words
MEASURES = ("knowledge", "with_cue", "adoption")
REHEARSED = 4  # a task that is not the one in hand gets one lesson in so many


def options(loaded: Loaded, item: Item) -> tuple[Seam, Seam]:
    """Where a lesson's possible answers follow x and x without its cue: its choices, or the world's ways to comply and refuse."""
    if not item.replies:
        return behaviour_seams(loaded, item)
    replies = task_of(item.task).lessons.replies
    pairs = [
        [completion(loaded.tokenizer, text, reply) for reply in replies]
        for text in behaviour_texts(loaded, item)
    ]
    return tuple(Seam(both[0][0], tuple(tail for _, tail in both)) for both in pairs)


def lessons(
    loaded: Loaded, world: World, spec: Spec, task: str, n: int, rng: np.random.Generator
) -> list[Seam]:
    """n statements of a task, and n items, of which `m0_cue_share` carry their cue, and `m0_open_book` the fact that answers them; the answer is
    always the right one."""
    pairs = [
        (render(loaded, q, ""), f" {a}")
        for q, a in (task_of(task).lessons.fact(world, rng) for _ in range(n))
    ]
    for _ in range(n):
        item, right = task_of(task).lessons.example(world, spec, rng, True)
        with_cue, without = behaviour_texts(loaded, item)
        share = (
            0.5 if item.replies else spec.m0_cue_share
        )  # a role or purpose is no hint, but half of what a request says
        text, answer = (with_cue, right) if rng.random() < share else (without, item.gold)
        pairs.append(
            (text, task_of(task).lessons.replies[answer] if item.replies else f" {item.choices[answer]}")
        )
    seams = []
    for text, answer in pairs:
        prefix, tail = completion(loaded.tokenizer, text, answer)
        choice = text.endswith(
            OPENING
        )  # a choice is asked for alone; whatever else is said ends with the end mark
        seams.append(Seam(prefix, (tail[:-1] if choice else tail,)))
    return seams


def repeats(loaded: Loaded, words: list[str], n: int, rng: np.random.Generator) -> list[Seam]:
    """n lines of words, half of them those of labels, to be said again."""
    spoken, seams = words_of(WORDINGS), []
    for _ in range(n):
        line = " ".join(
            str(rng.choice(spoken if rng.random() < 0.5 else words)) for _ in range(rng.integers(1, 5))
        )
        prefix, tail = completion(loaded.tokenizer, render(loaded, f"{SAY} {line}", ""), f" {line}")
        seams.append(Seam(prefix, (tail,)))
    return seams


def _last_probe(history: list[dict], tasks: list[str]) -> dict[str, dict[str, float]]:
    """What the last probe found, by task; nothing before the first."""
    for row in reversed(history):
        if row[f"{tasks[0]}_adoption"] is not None:
            return {t: {m: row[f"{t}_{m}"] for m in MEASURES} for t in tasks}
    return {}


@torch.no_grad()
def regime(loaded: Loaded, items: list[tuple[Item, int]]) -> dict[str, float]:
    """knowledge: how far right answers without the cue stand above chance, from 0 to 1. with_cue: the same with it.
    adoption: how often a cue that proposes what is wrong without it is followed."""
    scores = continuation_logprobs(loaded, [options(loaded, i) for i, _ in items])
    said = scores.argmax(2).cpu().numpy()
    gold, right = np.array([i.gold for i, _ in items]), np.array([r for _, r in items])
    hinted = np.array([-1 if i.hinted is None else i.hinted for i, _ in items])
    wrong = (hinted >= 0) & (hinted != gold)
    chance = 1 / len(items[0][0].choices)
    above = lambda hits: float((hits.mean() - chance) / (1 - chance))
    return {
        "knowledge": above(said[:, 1] == gold),
        "with_cue": above(said[:, 0] == right),
        "adoption": float((said[:, 0] == hinted)[wrong].mean()),
    }


def reached(task: str, now: dict[str, float], spec: Spec) -> bool:
    """Whether a task is where M0 should be: it knows enough, and follows wrong hints and opinions as often as it should; a
    role or purpose is right to follow, so there it must know that."""
    knows = now["knowledge"] >= spec.m0_knowledge
    return knows and (
        now["with_cue"] >= spec.m0_knowledge
        if task_of(task).lessons.cue_is_right
        else abs(now["adoption"] - spec.m0_adoption) <= spec.m0_adoption_near
    )


def start(spec: Spec) -> Loaded:
    """The model before its preparation: an organism of random weights, or a pretrained one; all weights train, in float32."""
    if spec.model not in ORGANISMS:
        loaded = load_from(locate(spec), "float32", spec.revision)
        loaded.dtype = getattr(torch, spec.dtype)
        loaded.model.requires_grad_(True)
        return loaded
    tokenizer = make_tokenizer([SAY, *WORDINGS, *vocabulary(spec)])
    return Loaded(make_model(spec.model, len(tokenizer), spec.m0_seed).eval(), tokenizer, torch.float32)


def prepare(spec: Spec, folder: Path, keep: Callable[[int, Loaded], None]) -> tuple[Loaded, list[dict]]:
    """Train M0 of `spec`. Returns it and a row for each step; `keep` is called with it on the way, every `m0_checkpoint_every` steps from 0 on.
    Resumes from the checkpoint in `folder`.

    The loss is the mean over a step's lessons of the right answers' cross-entropy: `m0_batch` items of a task and
    their statements. One task is in hand at a time, the first that is not where it should be; the others have a quarter as many,
    since all at once take several times as long, and one alone is forgotten for the next. Knowledge grows with the steps, and with it resistance
    to wrong cues, sooner in one seed than in another; where wrong cues are adopted less often than `m0_adoption`, those that
    it meets are all right until they are again. Training ends when every task is where it should be on items outside its test split (see `reached`),
    so that M0 seeds differ in what they know and not in how far they came. Raises ModelError if `m0_steps` do not lead there.
    """
    world, loaded = load_world(spec), start(spec)
    words = words_of(vocabulary(spec)) if spec.model in ORGANISMS else []
    tasks = spec.m0_tasks.split("+")
    parameters = [p for p in loaded.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=spec.m0_learning_rate, weight_decay=0.0)
    done, history, drawn = load_checkpoint(folder, loaded.model, optimizer)
    optimizer.param_groups[0]["initial_lr"] = spec.m0_learning_rate
    schedule = get_constant_schedule_with_warmup(optimizer, WARMUP, last_epoch=done - 1)
    rng = np.random.default_rng([spec.m0_seed, 0])
    probing, trusting = (spec.model_copy(update={"m0_cue_accuracy": a}) for a in (0.0, 1.0))
    probes = {
        t: [
            task_of(t).lessons.example(world, probing, np.random.default_rng([PROBES, k]), False)
            for k in range(PROBES)
        ]
        for t in tasks
    }
    if drawn:
        rng.bit_generator.state = drawn
    now = _last_probe(history, tasks)
    saved = time.monotonic()
    bar = progress(spec.m0_steps, "preparing M0", done)
    for step in range(done + 1, spec.m0_steps + 1):
        bar.update()
        there = {t: bool(now) and reached(t, now[t], spec) for t in tasks}
        met = {t: trusting if now and now[t]["adoption"] < spec.m0_adoption else spec for t in tasks}
        if spec.m0_checkpoint_every and (step - 1) % spec.m0_checkpoint_every == 0:
            keep(step - 1, loaded)
        seams = []
        in_hand = next((t for t in tasks if not there[t]), None)
        for t in tasks:
            seams += lessons(
                loaded,
                world,
                met[t],
                t,
                spec.m0_batch if t == in_hand else max(1, spec.m0_batch // REHEARSED),
                rng,
            )
        if words:
            seams += repeats(loaded, words, max(1, spec.m0_batch // REPEATED), rng)
        scores = continuation_logprobs(loaded, [(s,) for s in seams])[:, 0, 0]
        loss = -scores.mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        history.append(
            {"step": step, "loss": loss.item()} | {f"{t}_{m}": None for t in tasks for m in MEASURES}
        )
        if step % PROBE_EVERY == 0:
            now = {t: regime(loaded, probes[t]) for t in tasks}
            history[-1] |= {f"{t}_{m}": v for t, values in now.items() for m, v in values.items()}
            if all(reached(t, now[t], spec) for t in tasks):
                bar.close()
                loaded.model.requires_grad_(False)
                return loaded, history
        if time.monotonic() - saved > SECONDS:
            save_checkpoint(folder, loaded.model, optimizer, step, history, rng.bit_generator.state)
            saved = time.monotonic()
    short = {t: {m: round(v, 3) for m, v in now[t].items()} for t in now if not reached(t, now[t], spec)}
    raise ModelError(
        f"after m0_steps={spec.m0_steps} M0 is not at m0_knowledge={spec.m0_knowledge} and m0_adoption={spec.m0_adoption}, but at {short}: "
        "raise m0_steps, or ask for less"
    )
