"""What to run: one frozen specification, and the key that names its result.

A spec is flat so that a notebook parameter, a CLI option and a field are the same word. Every field belongs to one
stage of the study; the key of a stage hashes the fields of that stage and of all stages before it, defaults included,
and nothing else. Profiles and sweeps are YAML files beside this module: data, not branches.
"""

import difflib
import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from coupling.errors import StudyError
from coupling.files import BY_CONTENT
from coupling.tasks import task_names, task_of

SCHEMA_VERSION = 4  # bump when a change of code changes results: old runs then no longer match any key


STAGES = ("m0", "items", "base", "labels", "explain")


ORGANISMS = (
    "organism",
    "organism-deep",
    "organism-qwen",
)  # models that start from nothing and know their made-up world alone


LABEL_CHANGES = ("rule", "hash", "random", "shuffled")


SHIFTS = ("down", "up", "neutral", "reteach")


HERE = Path(__file__).parent


class SpecError(StudyError, ValueError):
    """A specification that cannot be run; the message names the field, its value and the way out."""


def _field(stage: str, default: Any, description: str, later: bool = False, **limits: Any) -> Any:
    """A spec field of one stage. Stage "none" marks what can never change a result and so enters no key. later: a field that was added
    after results had been committed, and whose default does nothing: at its default it enters no key, so that theirs still hold."""
    return Field(
        default, description=description, json_schema_extra={"stage": stage, "later": later}, **limits
    )


class Spec(BaseModel):
    """One run: items, base model M0, explanation training and its evaluation.

    Build it with `make_spec`, which reads the profile and turns every mistake into a `SpecError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    profile: str = _field("none", "tiny", "profile whose values these are; names the results folder")

    # m0: the made-up world, the model M0, and how it was prepared
    world_seed: int = _field("m0", 0, "seed of the made-up world, its test split and its test items", ge=0)
    entities: int = _field("m0", 400, "invented entities in the world", ge=8)
    attributes: int = _field("m0", 1, "attributes of each entity", ge=1)
    exposure_slope: float = _field(
        "m0", 0.5, "how unevenly M0 meets the entities and norms (0: evenly)", ge=0
    )
    model: str = _field(
        "m0",
        "organism",
        f"{', '.join(ORGANISMS)}, a packaged model's name, a hub model's name, or a local folder",
    )
    revision: str | None = _field(
        "m0", None, "hub revision (branch, tag or commit); ignored for other sources"
    )
    system: str = _field(
        "m0", "", "system message that a model taken as it is reads above every prompt", later=True
    )
    explainer: int = _field(
        "m0",
        -1,
        "seed of the explainer, otherwise trained as this run, that M0 has become (-1: none yet)",
        later=True,
        ge=-1,
    )
    m0_tasks: str = _field(
        "m0", "hint_qa+aita+refusal", "made-up tasks that a prepared M0 knows, joined by +"
    )
    m0_seed: int = _field("m0", 0, "seed of M0: initial weights and what it met while it was prepared", ge=0)
    m0_steps: int = _field(
        "m0", 0, "most steps of behaviour training that prepare M0 (0: the model as it is)", ge=0
    )
    m0_adoption: float = _field("m0", 0.7, "how often M0 is to adopt wrong hints and opinions", ge=0, le=1)
    m0_adoption_near: float = _field("m0", 0.1, "to within how much", ge=0, le=1)
    m0_knowledge: float = _field(
        "m0",
        0.55,
        "how far right answers are to stand above chance (0) toward all (1), at the least",
        ge=-1,
        le=1,
    )
    m0_learning_rate: float = _field("m0", 2e-3, "peak learning rate of that training", gt=0)
    m0_checkpoint: float = _field(
        "m0", 1.0, "M0 as it was after this share of that training's steps (0: before it)", ge=0, le=1
    )
    m0_checkpoint_every: int = _field(
        "m0",
        0,
        "steps after which M0 is kept on the way, so that it can be taken from there (0: never)",
        ge=0,
    )
    m0_batch: int = _field("m0", 64, "questions in each step of that training, by task", ge=1)
    m0_cue_share: float = _field("m0", 0.5, "share of M0's questions that carried a cue", ge=0, le=1)
    m0_cue_accuracy: float = _field("m0", 0.85, "how often those hints and opinions were right", ge=0, le=1)
    dtype: Literal["float32", "bfloat16"] = _field(
        "m0", "float32", "precision of products (bfloat16 under autocast); adapters are float32"
    )
    threads: int = _field("m0", 1, "CPU threads of a run; sums round differently with another number", ge=1)

    # items: what is asked
    task: str = _field(
        "items",
        "hint_qa",
        "hint_qa, mmlu, aita, refusal, jabberwocky, file:PATH with items in JSONL, or several joined by +",
    )
    posts: str = _field(
        "items",
        "",
        "JSONL file of posts for aita (path, hub:... or sha256:...); without it, stories of the made-up world",
    )
    requests: str = _field(
        "items",
        "",
        "JSONL file (path, hub:... or sha256:...) or hub dataset of prompts for refusal; without it, the made-up world's",
    )
    split_by: Literal["subject", "question"] = _field(
        "items", "subject", "what training and test items must not share (mmlu)"
    )
    mmlu_part: Literal["test", "validation"] = _field(
        "items", "test", "MMLU's files that questions are from; validation: for choices", later=True
    )
    max_words: int = _field("items", 60, "longest question with its options, post or prompt, in words", ge=10)
    test_items: int = _field("items", 2000, "test items at the final step, by task", ge=8)

    # base: M0's behaviours
    eval_batch: int = _field(
        "base", 256, "items in one evaluation batch; half precision depends on the shape", ge=1
    )

    # labels: the training items, and with them L(S)
    seed: int = _field(
        "labels", 0, "seed of the explainer: adapter, order and hints of the training items", ge=0
    )
    train_items: int = _field("labels", 4096, "training items with fixed labels, of all tasks together", ge=1)
    held_out: float = _field(
        "labels",
        0.0,
        "share of an item set's kinds (subjects, story kinds, request kinds) without labels",
        ge=0,
        lt=1,
    )

    # explain: LoRA training and evaluation
    source: str = _field(
        "explain",
        "",
        "label source S where not M0: the m0 fields in which it differs, for instance m0_seed=1",
    )
    source_share: float = _field(
        "explain", 1.0, "share of the labels that are L(S); the others are L(M0)", ge=0, le=1
    )
    label_change: Literal["none", *LABEL_CHANGES] = _field(
        "explain", "none", "what is done to a share of the labels (see coupling.supervision)"
    )
    label_change_share: float = _field("explain", 0.0, "that share", ge=0, le=1)
    relabel: bool = _field(
        "explain",
        False,
        "labels are made anew from M_t itself at every evaluation: an upper reference, no fixed labels",
    )
    label_format: Literal["letter", "content"] = _field(
        "explain", "letter", "labels name the option's letter, or its content"
    )
    allow_constant_labels: bool = _field(
        "explain", False, "train even if one label string exceeds 90 % of the labels"
    )
    steps: int = _field(
        "explain", 300, "optimiser steps; the final step is evaluated on all test items", ge=1
    )
    batch_size: int = _field("explain", 32, "training items in each step", ge=1)
    learning_rate: float = _field("explain", 2e-3, "peak learning rate of AdamW", gt=0)
    warmup: float = _field(
        "explain", 0.05, "share of the steps with rising learning rate, before the cosine", ge=0, lt=1
    )
    max_grad_norm: float = _field("explain", 1.0, "gradients are clipped to this norm", gt=0)
    kl_weight: float = _field(
        "explain", 1.0, "weight of KL(B(M0) || B(M_t)), the mean of x and x without cue", ge=0
    )
    rank: int = _field("explain", 32, "LoRA rank on all linear layers but the output head", ge=1)
    lora_alpha: float = _field(
        "explain", 1.0, "effective LoRA scale: alpha / rank, or alpha / sqrt(rank) with rslora", gt=0
    )
    rslora: bool = _field("explain", False, "rank-stabilised scale: alpha / sqrt(rank)")
    explanation_weight: float = _field(
        "explain", 1.0, "weight of the explanations' cross-entropy (0: no explanation training)", ge=0
    )
    teach: str = _field(
        "explain", "", "task whose behaviour alone is taught beside it (jabberwocky), never its explanations"
    )
    teach_weight: float = _field("explain", 1.0, "weight of that behaviour's cross-entropy", gt=0)
    shift: Literal["none", *SHIFTS] = _field(
        "explain", "none", "another objective on behaviour alone (see coupling.shift)", later=True
    )
    shift_weight: float = _field(
        "explain", 1.0, "its strength: the weight of its cross-entropy", later=True, gt=0
    )
    shift_order: Literal["with", "after", "before"] = _field(
        "explain", "with", "when, seen from explanation training", later=True
    )
    shift_steps: int = _field("explain", 0, "steps that it has to itself (after, before)", later=True, ge=0)
    replay: float = _field(
        "explain", 0.0, "weight of explanation training during these steps", later=True, ge=0
    )
    evaluations: int = _field(
        "explain", 4, "evenly spaced evaluations after step 0, the final one included", ge=1
    )
    interim_items: int = _field("explain", 512, "test items at evaluations before the last", ge=1)

    memory_gb: float = _field(
        "explain", 16.0, "memory ceiling; a step that needs more is added up from smaller passes", gt=0
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Spec":
        if self.evaluations > self.steps:
            raise ValueError(f"evaluations={self.evaluations} are more than steps={self.steps}")
        known = [
            t for t in self.tasks if t.startswith("file:") or t in task_names()
        ]  # others are named by make_spec
        real = [source for t in known if (source := task_of(t).source(self))]
        if self.model in ORGANISMS:
            if real:
                raise ValueError(
                    f"model={self.model} knows its made-up world alone, not {', '.join(real)}: take a profile with a real model"
                )
            if not self.m0_steps:
                raise ValueError(f"model={self.model} starts from nothing: give m0_steps of at least 1")
        if self.system and self.m0_steps:
            raise ValueError(
                f"system={self.system!r}: an M0 that is prepared was prepared without one; only a model taken as it is can have it"
            )
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"task={self.task}: a task stands twice")
        if self.held_out:
            without = [t for t in known if not task_of(t).has_kinds(self)]
            if without:
                raise ValueError(
                    f"held_out={self.held_out}: items of {', '.join(without)} have no kinds (hint_qa has with more than one of attributes)"
                )
        if self.teach in self.tasks:
            raise ValueError(f"teach={self.teach}: its explanations would be trained too; take another task")
        if not self.explanation_weight and not self.teach and self.shift == "none":
            raise ValueError("explanation_weight=0 trains nothing: name a behaviour to teach, or a shift")
        if self.shift == "reteach" and not (
            self.model in ORGANISMS and all(task_of(t).facts_can_change for t in known)
        ):
            raise ValueError(
                f"shift=reteach with task={self.task}, model={self.model}: facts of the made-up world are taught anew, "
                f"on {', '.join(t for t in task_names() if task_of(t).facts_can_change)} alone"
            )
        if self.shift != "none" and self.teach:
            raise ValueError(f"shift={self.shift} and teach={self.teach}: one behaviour at a time")
        if self.shift == "none" and (self.shift_order != "with" or self.shift_weight != 1):
            raise ValueError("shift_order and shift_weight do nothing without shift")
        if (self.shift_order == "with") != (self.shift_steps == 0):
            raise ValueError(
                f"shift_steps={self.shift_steps} with shift_order={self.shift_order}: after and before take steps of their own, with takes none"
            )
        if self.replay and self.shift_order != "after":
            raise ValueError(
                f"replay={self.replay}: only a shift after explanation training has something to replay"
            )
        if self.m0_checkpoint < 1 and not (self.m0_steps and self.m0_checkpoint_every):
            raise ValueError(
                f"m0_checkpoint={self.m0_checkpoint}: only an M0 that is prepared and kept on the way has one; give m0_checkpoint_every"
            )
        if (self.label_change == "none") != (self.label_change_share == 0):
            raise ValueError(
                f"label_change={self.label_change} and label_change_share={self.label_change_share}: one without the other changes nothing"
            )
        if self.source_share < 1 and not self.source:
            raise ValueError(f"source_share={self.source_share}: there is no other label source; give source")
        return self

    @property
    def tasks(self) -> list[str]:
        """The tasks, one by one."""
        return [self.task] if self.task.startswith("file:") else self.task.split("+")

    @property
    def label_source(self) -> "Spec":
        """The spec of S as a base model on the same items: this one, with the fields that `source` names. Raises SpecError."""
        if not self.source:
            return self
        values = {}
        for part in self.source.split(","):
            name, sign, text = part.partition("=")
            if not sign or name not in (known := [n for n in fields_of("m0") if n not in _WORLD]):
                raise SpecError(
                    f"source={self.source!r}: {part!r} is no field=value of an M0; {suggest(name, known)}"
                )
            values[name] = text
        plain = {"source": "", "source_share": 1.0}
        try:
            return Spec(**(self.model_dump() | plain | values))
        except ValidationError as error:
            raise SpecError(f"source={self.source!r}: {_what(error)}") from None

    @property
    def explained(self) -> "Spec":
        """The run whose model is M0 where `explainer` names one: this one with that seed, on labels of the model's own."""
        return self.model_copy(
            update={"explainer": -1, "seed": self.explainer, "source": "", "source_share": 1.0}
        )

    @property
    def phases(self) -> list["Phase"]:
        """The phases of training, one after the other: a single one, or explanation training and a shift apart."""
        off = {"shift": "none", "shift_order": "with", "shift_steps": 0, "shift_weight": 1.0, "replay": 0.0}
        if self.shift_order == "with":
            return [Phase(0, self, 0)]
        weights = {
            "explanation_weight": self.replay * self.explanation_weight,
            "kl_weight": self.replay * self.kl_weight,
        }
        alone = self.model_copy(
            update=weights
            | {"steps": self.shift_steps, "shift_order": "with", "shift_steps": 0, "replay": 0.0}
        )
        explaining = self.model_copy(update=off)
        first, second = (explaining, alone) if self.shift_order == "after" else (alone, explaining)
        return [Phase(0, first, 0), Phase(1, second, first.steps)]

    @property
    def final_step(self) -> int:
        """The last step of the last stage."""
        return self.steps + self.shift_steps

    @property
    def evaluation_steps(self) -> list[int]:
        """Steps at which the current model is evaluated, 0 and the final step of every stage included, counted over all stages."""
        found = {0}
        for phase in self.phases:
            found |= {
                phase.start + round(i * phase.spec.steps / self.evaluations)
                for i in range(1, self.evaluations + 1)
            }
        return sorted(found)


@dataclass(frozen=True)
class Phase:
    """One phase of training: a stretch of steps with an objective of its own.

    Attributes:
        number: Its place among the run's phases, from 0.
        spec: What this phase trains, as a spec of its own with its own `steps`.
        start: How many steps of the run come before it.
    """

    number: int
    spec: Spec
    start: int

    @property
    def teaches(self) -> bool:
        """Whether a behaviour is taught in this phase: a shift, or a new behaviour."""
        return self.spec.shift != "none" or bool(self.spec.teach)

    @property
    def follows_shift(self) -> bool:
        """Whether this phase trains explanations after a shift, and so must hold the shifted behaviours."""
        return self.number > 0 and not self.teaches


def fields_of(*stages: str) -> list[str]:
    """Names of the spec fields of these stages, in order."""
    return [n for n, f in Spec.model_fields.items() if f.json_schema_extra["stage"] in stages]


@lru_cache
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """SHA-256 over a file, or over the names and contents of the files directly in a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    return _digest_of(
        [
            (p.name if path.is_dir() else "", _file_digest(p, p.stat().st_size, p.stat().st_mtime_ns))
            for p in files
        ]
    )


def _digest_of(files: list[tuple[str, str]]) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


_WORLD = ("world_seed", "entities", "attributes", "exposure_slope")


_MADE_UP = ("hint_qa", "aita", "refusal", "jabberwocky")


_READ_BY = {
    "split_by": ("mmlu",),
    "mmlu_part": ("mmlu",),
    "posts": ("aita",),
    "requests": ("refusal",),
    "max_words": ("mmlu", "aita", "refusal"),
}


def _read_by_some() -> set[str]:
    """The fields that not every task reads."""
    return {name for task in task_names() for name in task_of(task).reads}


def key(spec: Spec, stage: str) -> str:
    """12 hex digits that name the result of `stage`: "m0", "items", "base", "labels" or "explain".

    A path enters by the content that it points to, and a field that neither the tasks nor the model read does not
    enter: the world of a task that has none, or the preparation of a model that is taken as it is.
    """
    values = {name: getattr(spec, name) for name in fields_of(*STAGES[: STAGES.index(stage) + 1])}
    asked = [task_of(t) for t in spec.tasks]
    unread = _read_by_some() - {name for task in asked for name in task.reads}
    if not spec.m0_steps:
        unread |= {n for n in fields_of("m0") if n.startswith("m0_")}
        if all(task.source(spec) for task in asked):
            unread |= set(_WORLD[1:] if not spec.task.startswith("file:") else _WORLD)
    for name in ("posts", "requests", "model"):
        path = Path(values.get(name) or "-")
        if path.is_dir() if name == "model" else path.is_file():
            values[name] = "content:" + content_digest(path)
        elif str(values.get(name)).startswith(
            BY_CONTENT
        ):  # the same key as by its path, whether or not the file is here
            values[name] = "content:" + _digest_of([("", values[name].removeprefix(BY_CONTENT))])
    if values.get("task", "").startswith("file:"):
        values["task"] = "file:" + content_digest(Path(spec.task.removeprefix("file:")))
    if values.get("source"):
        values["source"] = key(spec.label_source, "m0")
    if spec.explainer >= 0:
        values["explainer"] = key(spec.explained, "explain")
    unread |= {
        n
        for n, f in Spec.model_fields.items()
        if f.json_schema_extra["later"] and getattr(spec, n) == f.default
    }
    payload = {"schema": SCHEMA_VERSION, "stage": stage} | {
        n: v for n, v in values.items() if n not in unread
    }
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:12]


def suggest(name: str, known: list[str]) -> str:
    """A hint for a misspelt name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def read_profile(name: str) -> dict[str, Any]:
    """The values of a profile, `profiles/<name>.yaml`."""
    path = HERE / "profiles" / f"{name}.yaml"
    if not path.is_file():
        raise SpecError(f"unknown profile {name!r}: {suggest(name, profile_names())}")
    return yaml.safe_load(path.read_text())


def profile_names() -> list[str]:
    """The profiles there are."""
    return sorted(p.stem for p in (HERE / "profiles").glob("*.yaml"))


def _what(error: ValidationError) -> str:
    """What is wrong, each value with its field."""
    lines = []
    for e in error.errors():
        where = ".".join(map(str, e["loc"]))
        lines.append(
            f"{where}={e['input']!r}: {e['msg']}" if where else e["msg"].removeprefix("Value error, ")
        )
    return "; ".join(lines)


def make_spec(profile: str = "tiny", **values: Any) -> Spec:
    """The spec of `profile` with `values` in place of its own.

    Raises SpecError for an unknown name, a value out of range, an unknown task or a path that is not there.
    """
    known = list(Spec.model_fields)
    for name in values:
        if name not in known:
            raise SpecError(f"unknown parameter {name!r}: {suggest(name, known)}")
    merged = read_profile(profile) | values | {"profile": profile}
    try:
        spec = Spec(**merged)
    except ValidationError as error:
        raise SpecError(_what(error)) from None
    _ = spec.label_source  # what it names must be there
    if spec.task.startswith("file:"):
        path = Path(spec.task.removeprefix("file:"))
        if not path.is_file():
            raise SpecError(
                f"task={spec.task}: there is no file {path.resolve()}; give the path of a JSONL file of items"
            )
    for where, names in (
        ("task", [] if spec.task.startswith("file:") else spec.tasks),
        ("teach", [spec.teach] if spec.teach else []),
    ):
        for name in names:
            if name not in task_names():
                raise SpecError(
                    f"unknown {where} {name!r}: {suggest(name, task_names())}"
                    + ("; or give file:PATH" if where == "task" else "")
                )
    for name in spec.m0_tasks.split("+") if spec.m0_steps else []:
        if name not in (taught := [t for t in task_names() if task_of(t).lessons]):
            raise SpecError(
                f"m0_tasks={spec.m0_tasks}: {name!r} cannot be taught to an M0; {suggest(name, taught)}"
            )
    for name in ("posts", "requests"):
        value = getattr(spec, name)
        if value.startswith(BY_CONTENT) and not re.fullmatch("[0-9a-f]{64}", value.removeprefix(BY_CONTENT)):
            raise SpecError(
                f"{name}={value!r}: expected {BY_CONTENT} and the 64 hexadecimal digits that sha256sum gives"
            )
        if value and not value.startswith(("hub:", BY_CONTENT)) and not Path(value).is_file():
            raise SpecError(
                f"{name}={value!r}: there is no such file; give a JSONL file, or leave it empty for the made-up world"
            )
    return spec


def given(spec: Spec, *stages: str) -> dict[str, Any]:
    """What to say beside nothing to get this spec again: its profile, and the fields of `stages` that differ from it."""
    plain = make_spec(spec.profile)
    return {"profile": spec.profile} | {
        n: getattr(spec, n) for n in fields_of(*stages) if getattr(spec, n) != getattr(plain, n)
    }
