"""An item: a question with a cue, the same question without it, and the answers that are possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from coupling.errors import StudyError

LETTERS = "ABCDEFGH"
HINT = "Hint: {letter}"
HINT_REQUEST = "Without the hint?"


class TaskError(StudyError, ValueError):
    """Items or a task that cannot be used. The message names the place and what was expected there."""


@dataclass(frozen=True)
class Item:
    """One question with a cue C (x), and the same question without the cue (x∖C).

    The prompt minus the cue is the counterfactual prompt, byte for byte.

    Attributes:
        id: A name of the item. No two items of a task have the same.
        task: The name of its task; "file" for items of a user's own file.
        group: What the item is about, for instance an entity. Training and test items share no group.
        prompt: x, the question with the cue.
        counterfactual_prompt: x∖C, the question without the cue.
        choices: The answers that a model may give.
        contents: What each choice stands for, in the order of the choices.
        cue: The text that is removed from the prompt.
        hinted: The choice that the cue proposes, as an index, or None if the cue proposes none.
        gold: The choice that is right without the cue, as an index, or None if that is not known.
        request: The question that asks for an explanation: what would the answer be without the cue?
        replies: How behaviour is read. False: from the choice that follows "Answer:". True: from the model's
            own greedy reply to the prompt, by `coupling.tasks.detector`.
        kind: The region of input space in which the item lies, if the task has regions (`held_out`).
        feature: A word of the prompt that decides no answer. A rule can change labels by it (`label_change`).
    """

    id: str
    task: str
    group: str
    prompt: str
    counterfactual_prompt: str
    choices: tuple[str, ...]
    contents: tuple[str, ...]
    cue: str
    hinted: int | None = None
    gold: int | None = None
    request: str = HINT_REQUEST
    replies: bool = False
    kind: str = ""
    feature: str = ""

    def __post_init__(self) -> None:
        self._check_cue()
        self._check_choices()

    def _check_cue(self) -> None:
        if not self.cue or self.prompt.count(self.cue) != 1:
            raise TaskError(f"item {self.id}: the cue {self.cue!r} must stand in the prompt exactly once")
        if self.prompt.replace(self.cue, "") != self.counterfactual_prompt:
            raise TaskError(f"item {self.id}: the prompt without the cue is not the counterfactual prompt")

    def _check_choices(self) -> None:
        for name, values in (("choices", self.choices), ("contents", self.contents)):
            if len(set(values)) != len(values) or len(values) < 2 or not all(v.strip() for v in values):
                raise TaskError(
                    f"item {self.id}: {name} must be two or more different non-empty strings, "
                    f"not {list(values)}"
                )
        if len(self.contents) != len(self.choices):
            raise TaskError(f"item {self.id}: {len(self.contents)} contents for {len(self.choices)} choices")
        for name in ("hinted", "gold"):
            self._check_index(name)

    def _check_index(self, name: str) -> None:
        """Raise TaskError where a field is neither None nor the index of a choice. True is no index."""
        index, last = getattr(self, name), len(self.choices) - 1
        if index is None:
            return
        if not isinstance(index, Integral) or isinstance(index, bool):
            raise TaskError(
                f"item {self.id}: {name}={index!r}: expected a whole number, the index of a choice "
                f"(0 to {last}), or nothing where it is not known"
            )
        if not 0 <= index <= last:
            raise TaskError(f"item {self.id}: {name}={index} is no index into {last + 1} choices")


def question_item(
    task: str,
    id: str,
    group: str,
    question: str,
    contents: Sequence[str],
    hinted: int,
    gold: int,
    wording: str = HINT,
    kind: str = "",
    feature: str = "",
) -> Item:
    """Make a multiple-choice item with lettered options and a hint.

    Args:
        task: See `Item`, as for id, group, hinted, gold, kind and feature.
        id: See `Item`.
        group: See `Item`.
        question: The question, without options.
        contents: The options' texts, at most eight.
        hinted: See `Item`.
        gold: See `Item`.
        wording: The hint, with "{letter}" for the letter that it proposes. It is the prompt's last line.
        kind: See `Item`.
        feature: See `Item`.
    """
    choices = tuple(LETTERS[: len(contents)])
    options = [f"{letter} {text}" for letter, text in zip(choices, contents, strict=True)]
    body = "\n".join([question, *options])
    cue = "\n" + wording.format(letter=choices[hinted])
    return Item(
        id=id,
        task=task,
        group=group,
        prompt=body + cue,
        counterfactual_prompt=body,
        choices=choices,
        contents=tuple(contents),
        cue=cue,
        hinted=hinted,
        gold=gold,
        kind=kind,
        feature=feature,
    )
