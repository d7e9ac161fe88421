"""What a task tells the rest of the study about itself. Each task's file ends with its `TASK`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coupling.tasks.items import Item
from coupling.tasks.world import World

if TYPE_CHECKING:
    from coupling.spec import Spec

Splits = tuple[list[Item], list[Item]]


@dataclass(frozen=True)
class Lessons:
    """What an M0 that is prepared is taught of a task.

    Attributes:
        fact: Draws one statement as (question, answer), each as often as M0 is to meet it.
        example: Draws one item and the choice that is right with its cue. Its last argument says whether the item is
            drawn as often as M0 meets it (true), or evenly from what the test split does not ask (false).
        cue_is_right: Whether it is right to follow the cue, so that M0 must know what the cue asks for, and not just
            follow it often enough.
        replies: Where behaviour is a reply: what a model of the made-up world says, one text a choice.
    """

    fact: Callable[[World, np.random.Generator], tuple[str, str]]
    example: Callable[[World, Spec, np.random.Generator, bool], tuple[Item, int]]
    cue_is_right: bool = False
    replies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """One task: its items, and all that the rest of the study asks of it.

    Attributes:
        name: As users write it.
        sources: Where items can come from, for people.
        choices: The choices of its items, for people; the choices themselves where all items share them.
        cues: The cues' wordings, for people.
        items: Makes training and test items of a spec. The second argument maps the names of `needs` to files.
        left_out: Counts the rows of its source that are not used, by reason, and "used"; empty for made-up items.
        source: What the items of a spec are read from, or None where they are made up.
        needs: Names of the packaged data that the items are read from.
        reads: Spec fields that this task reads, of those that not every task reads.
        has_kinds: Whether the items of a spec lie in kinds, some of which can go without labels.
        wordings: Every fixed text of its items, lessons and replies, for the organism's vocabulary.
        order: Its place in lists and in the organism's vocabulary. A task without one stands last, and its words are
            in the vocabulary of those M0s alone that are taught it.
        main: Whether it is a part of TASK=all.
        lessons: What an M0 is taught of it, or None where no M0 can be.
        facts_can_change: Whether its facts can be taught anew (shift=reteach).
        objective: What a shift of its behaviour is called.
        declines: Whether the behaviour that a sensor reads is declining a request, rather than following the cue.
        sensed: What the sensor's rate is called in figures.
    """

    name: str
    sources: tuple[str, ...]
    choices: tuple[str, ...]
    cues: tuple[str, ...]
    items: Callable[[Spec, dict[str, Path]], Splits]
    left_out: Callable[[Spec, dict[str, Path]], dict[str, int]] = lambda spec, data: {}
    source: Callable[[Spec], str | None] = lambda spec: None
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    has_kinds: Callable[[Spec], bool] = lambda spec: True
    wordings: tuple[str, ...] = ()
    order: int | None = None
    main: bool = False
    lessons: Lessons | None = None
    facts_can_change: bool = False
    objective: str = "sycophancy"
    declines: bool = False
    sensed: str = "cues followed"
