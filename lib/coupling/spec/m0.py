"""The model M0: where it comes from, how it is prepared, and with which precision it computes."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from coupling.spec.section import SCHEMA_VERSION, Change, Section, field

# Models that start from random weights and know nothing but the made-up world.
ORGANISMS = (
    "organism",
    "organism-deep",
    "organism-qwen",
    "organism-4m",
    "organism-4m-deep",
    "organism-16m",
)

# A system begins only so many threads for one process. Beyond them torch ends the process without a word.
MOST_THREADS = 256


class M0Section(Section):
    """Fields of M0. The preparation of a model that is taken as it is (`m0_steps` of 0) enters no key."""

    changes: ClassVar[tuple[Change, ...]] = (
        Change(
            SCHEMA_VERSION + 1,
            "an M0 that is taught the answers of another learns and is probed on items like those of tests",
            lambda spec: bool(spec.m0_taught_by),
        ),
    )

    model: str = field(
        "m0",
        "organism",
        f"the model: {', '.join(ORGANISMS)}, a packaged model's name, a hub model's name, or a local folder",
    )
    revision: str | None = field(
        "m0", None, "revision of a hub model: a branch, a tag or a commit (other models have none)"
    )
    system: str = field(
        "m0", "", "system message above every prompt, for a model that is taken as it is", later=True
    )
    explainer: int = field(
        "m0",
        -1,
        "seed of a finished explanation run with otherwise the same settings, whose trained model becomes M0"
        " (-1: no such run)",
        later=True,
        ge=-1,
    )
    m0_tasks: str = field(
        "m0", "hint_qa+aita+refusal", "tasks of the made-up world that M0 is taught, joined by +"
    )
    m0_taught_by: Literal["", *ORGANISMS] = field(
        "m0",
        "",
        "organism of the same seed whose answers M0 learns after its preparation, until their labels agree"
        " (empty: none)",
        later=True,
    )
    m0_seed: int = field("m0", 0, "seed of M0: its initial weights and the lessons that prepare it", ge=0)
    m0_steps: int = field(
        "m0", 0, "maximum number of training steps that prepare M0 (0: the model is taken as it is)", ge=0
    )
    m0_adoption: float = field(
        "m0", 0.7, "share of wrong hints and opinions that M0 adopts when its preparation ends", ge=0, le=1
    )
    m0_adoption_near: float = field(
        "m0", 0.1, "tolerance for m0_adoption: the preparation ends within this distance of it", ge=0, le=1
    )
    m0_knowledge: float = field(
        "m0",
        0.55,
        "accuracy that M0 has at least when its preparation ends, on a scale from chance (0) to perfect (1)",
        ge=-1,
        le=1,
    )
    m0_learning_rate: float = field("m0", 2e-3, "peak learning rate of M0's preparation", gt=0)
    m0_checkpoint: float = field(
        "m0",
        1.0,
        "share of the preparation's steps after which M0 is taken (1: when it is finished, 0: untrained)",
        ge=0,
        le=1,
    )
    m0_checkpoint_every: int = field(
        "m0", 0, "number of preparation steps between two saved checkpoints of M0 (0: none are saved)", ge=0
    )
    m0_batch: int = field(
        "m0", 64, "number of questions in one step of M0's preparation, of the task in hand", ge=1
    )
    m0_cue_share: float = field("m0", 0.5, "share of M0's questions and stories that carry a cue", ge=0, le=1)
    m0_cue_accuracy: float = field(
        "m0", 0.85, "share of the hints and opinions in M0's lessons that are right", ge=0, le=1
    )
    dtype: Literal["float32", "bfloat16"] = field(
        "m0", "float32", "precision of matrix products (bfloat16 uses autocast; adapters stay float32)"
    )
    threads: int = field(
        "m0",
        1,
        "number of CPU threads of a run (another number rounds sums differently)",
        ge=1,
        le=MOST_THREADS,
    )

    @model_validator(mode="after")
    def check_m0(self) -> Self:
        """Check that M0's source and its preparation fit together."""
        if self.model in ORGANISMS and not self.m0_steps:
            raise ValueError(
                f"m0_steps=0: model={self.model} starts from random weights; give m0_steps of at least 1"
            )
        if self.system and self.m0_steps:
            raise ValueError(
                f"system={self.system!r} with m0_steps={self.m0_steps}: an M0 is prepared without a system "
                "message; only a model taken as it is (m0_steps=0) can have one"
            )
        if self.m0_taught_by and (self.m0_taught_by == self.model or not self.m0_steps):
            raise ValueError(
                f"m0_taught_by={self.m0_taught_by} with model={self.model} and m0_steps={self.m0_steps}: "
                "only a prepared organism can be taught, and by another organism; name another, or none"
            )
        if self.m0_taught_by and self.m0_checkpoint < 1:
            raise ValueError(
                f"m0_checkpoint={self.m0_checkpoint} with m0_taught_by={self.m0_taught_by}: a checkpoint is "
                "from before M0 is taught; give one of the two"
            )
        if self.m0_checkpoint < 1 and not (self.m0_steps and self.m0_checkpoint_every):
            raise ValueError(
                f"m0_checkpoint={self.m0_checkpoint}: no checkpoints of M0 are saved; "
                "give m0_steps and m0_checkpoint_every of at least 1"
            )
        return self
