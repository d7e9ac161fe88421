"""The items: which tasks are asked, where their questions come from, and how many are tested."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from coupling.spec.section import SCHEMA_VERSION, Change, Section, field
from coupling.tasks.aita import hold_opinions
from coupling.tasks.file import PREFIX


class ItemsSection(Section):
    """Fields of the items. Several tasks are joined by +."""

    changes: ClassVar[tuple[Change, ...]] = (
        Change(
            SCHEMA_VERSION + 1,
            "Posts that hold one of the opinions that are added as cues are left out.",
            lambda spec: "aita" in spec.tasks and hold_opinions(spec.posts),
        ),
    )

    task: str = field(
        "items",
        "hint_qa",
        "task to run: a name that `coupling tasks` lists, several names joined by +, or file:PATH for items"
        " in a JSONL file",
    )
    posts: str = field(
        "items",
        "",
        "JSONL file of posts to judge: a path, hub:OWNER/NAME/FILE or sha256:DIGEST (empty: made-up stories)",
    )
    requests: str = field(
        "items",
        "",
        "JSONL file of prompts to answer or refuse: a path, hub:OWNER/NAME/FILE, sha256:DIGEST, or a data set"
        " that `coupling tasks` lists (empty: made-up requests)",
    )
    split_by: Literal["subject", "question"] = field(
        "items", "subject", "what training and test items of a question bank must not share"
    )
    mmlu_part: Literal["test", "validation"] = field(
        "items",
        "test",
        "part of MMLU that questions come from (validation: to choose settings without the test items)",
        later=True,
    )
    mmlu_half: Literal["both", "training"] = field(
        "items",
        "both",
        "halves of MMLU's subjects that questions come from (training: that half alone, dealt in two again,"
        " to choose settings on subjects that no run of this world_seed is tested on)",
        later=True,
    )
    max_words: int = field(
        "items", 60, "maximum length of a post, a prompt, or a question with its options, in words", ge=10
    )
    test_items: int = field("items", 2000, "number of test items of each task at the final evaluation", ge=1)

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks, one by one. A path of an items file is never split."""
        return [self.task] if self.items_file is not None else self.task.split("+")

    @property
    def items_file(self) -> str | None:
        """The path in a task file:PATH, or None for tasks that have a name."""
        return self.task.removeprefix(PREFIX) if self.task.startswith(PREFIX) else None

    @model_validator(mode="after")
    def check_items(self) -> Self:
        """Check that no task is asked twice."""
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"task={self.task}: a task stands twice; name each task once")
        return self
