"""Behaviour lessons as models read them: a text, and the right answer after it."""

from collections.abc import Sequence

import numpy as np

from coupling.measure.behaviours import behaviour_seams, behaviour_texts
from coupling.measure.wording import WORDINGS
from coupling.models import Loaded, Seam, completion, render
from coupling.models.organism import words_of
from coupling.spec import Spec
from coupling.tasks import Item, task_of
from coupling.tasks.world import World

SAY = "Say"
MOST_REPEATED = 4  # words in a line that is to be repeated


def answer_seam(loaded: Loaded, text: str, answer: str) -> Seam:
    """Return the place where an answer follows a text, with the end mark after the answer."""
    prefix, tail = completion(loaded.tokenizer, text, answer)
    return Seam(prefix, (tail,))


def options(loaded: Loaded, item: Item) -> tuple[Seam, Seam]:
    """Return the places where the possible answers follow x and x without its cue.

    The answers are the item's choices. Where behaviour is a reply, they are the replies that the task's
    lessons teach, one a choice.
    """
    if not item.replies:
        return behaviour_seams(loaded, item)
    x, without = (_reply_seam(loaded, text, item) for text in behaviour_texts(loaded, item))
    return x, without


def _reply_seam(loaded: Loaded, text: str, item: Item) -> Seam:
    replies = task_of(item.task).lessons.replies
    completions = [completion(loaded.tokenizer, text, reply) for reply in replies]
    return Seam(completions[0][0], tuple(tail for _, tail in completions))


def lessons(
    loaded: Loaded, world: World, spec: Spec, task: str, n: int, rng: np.random.Generator
) -> list[Seam]:
    """Draw what one step of a preparation teaches of a task.

    Returns:
        n statements of the world and then n items, each with the right answer. A share of the items carries
        the cue: `Lessons.cue_share`, or else the spec's `m0_cue_share`.
    """
    own = task_of(task).lessons
    facts = [own.fact(world, rng) for _ in range(n)]
    seams = [answer_seam(loaded, render(loaded, question, ""), f" {answer}") for question, answer in facts]
    cue_share = spec.m0_cue_share if own.cue_share is None else own.cue_share
    for _ in range(n):
        item, right = own.example(world, spec, rng, True)
        has_cue = rng.random() < cue_share
        seams.append(right_seam(loaded, item, right if has_cue else item.gold, has_cue))
    return seams


def right_seam(loaded: Loaded, item: Item, choice: int, has_cue: bool) -> Seam:
    """Return the place where a choice is taught, after x (`has_cue`) or after x without its cue."""
    with_cue, without = behaviour_texts(loaded, item)
    text = with_cue if has_cue else without
    if item.replies:
        return answer_seam(loaded, text, task_of(item.task).lessons.replies[choice])
    # Behaviour is measured at the choice alone, so no end mark is taught after it.
    prefix, tail = completion(loaded.tokenizer, text, f" {item.choices[choice]}")
    return Seam(prefix, (tail[:-1],))


def repeats(loaded: Loaded, words: Sequence[str], n: int, rng: np.random.Generator) -> list[Seam]:
    """Draw n lines of one to four words that are to be said again. Half of the words are those of labels."""
    of_labels = words_of(WORDINGS)
    seams = []
    for _ in range(n):
        length = int(rng.integers(1, MOST_REPEATED + 1))
        line = " ".join(str(rng.choice(of_labels if rng.random() < 0.5 else words)) for _ in range(length))
        seams.append(answer_seam(loaded, render(loaded, f"{SAY} {line}", ""), f" {line}"))
    return seams
