"""A study of a user's own items and model: it is checked, written as a sweep, and run as any sweep is.

The sweep has two conditions. In one, explainers are trained on the labels of the model itself. In the other,
one explainer is trained on the same labels shuffled among the items; it is the control. What came out is said
by `coupling.report.own_text`.

Importing this module imports no torch.
"""

import contextlib
import os
import re
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis.summaries import LEAST_MASS
from coupling.runs import folders
from coupling.spec import ORGANISMS, Spec, SpecError, from_anywhere, key, make_spec, read_profile
from coupling.sweep import Premise
from coupling.tasks.file import PREFIX, read_items
from coupling.tasks.splits import check_splits

if TYPE_CHECKING:
    from coupling.report.batches import Batch

PROFILE = "medium"  # gives what the user does not give; the only profile of a real model that fits a laptop
EXPLAINERS = 3
TRUE, SHUFFLED = "true labels", "shuffled labels"
CHOOSE = (  # what to do where a model hardly answers with a choice
    "end each prompt with the form of the answer, for instance “Answer with the name of the city alone.”, "
    "or take a model that keeps to it better"
)
# The fields of the spec that a user may give. All others are the study's own, or mean nothing for own items.
FIELDS = (
    *("model", "revision", "system", "dtype", "threads"),
    *("train_items", "test_items", "label_format", "allow_constant_labels"),
    *("steps", "batch_size", "learning_rate", "warmup", "max_grad_norm", "kl_weight"),
    *("rank", "lora_alpha", "rslora", "fused", "memory_gb"),
    *("evaluations", "interim_items", "eval_batch", "decode_batch"),
)


@dataclass(frozen=True)
class Study:
    """A study of own items.

    Attributes:
        profile: The profile that gives what the user did not give.
        sweep: The path of the sweep's YAML file, absolute.
        given: What the user gave, by the name of the parameter. Paths are absolute.
    """

    profile: str
    sweep: str
    given: dict[str, Any]

    @property
    def specs(self) -> list[Spec]:
        """The runs: the explainers on true labels by seed, then the control."""
        return [spec for _, spec in sweeps.plan(self.profile, self.sweep)]

    @property
    def left(self) -> int:
        """How many runs are not complete."""
        return sum(not folders.complete(folders.run_folder(spec)) for spec in self.specs)

    @property
    def figure(self) -> Path:
        """The headline figure, once it is drawn."""
        name = f"{sweeps.stem(self.sweep)}-headline.png"
        return files.results_dir() / "figures" / self.profile / name


def prepare(
    items: str | Path | None = None,
    model: str = "",
    explainers: int = EXPLAINERS,
    profile: str = PROFILE,
    **values: Any,
) -> Study:
    """Check what a user asks for, and write it as a sweep under `results/own/`. Nothing is computed.

    Args:
        items: A JSONL file of items (examples/README.md). A relative path is meant from the working
            directory.
        model: A packaged model's name, a local folder, or a hub model's name.
        explainers: How many explainers are trained on true labels.
        profile: Name of the profile that gives what is not given here.
        **values: Fields of the spec, of those in FIELDS.

    Raises:
        SpecError: For a value that cannot be used. The message names it and the way out.
        TaskError: For items that cannot be used. The message names file and line.
    """
    path = _items_file(items)
    _check_model(model, path)
    if isinstance(explainers, bool) or not isinstance(explainers, int) or explainers < 2:
        raise SpecError(
            f"explainers={explainers}: give a whole number from 2 on; the preference compares explainers of "
            "one model"
        )
    if unknown := [name for name in values if name not in FIELDS]:
        raise SpecError(f"{unknown[0]}={values[unknown[0]]}: a study of own items takes {', '.join(FIELDS)}")
    train, test = read_items(path)
    check_splits(train, test)
    given = from_anywhere({"model": str(model)} | values)
    usual = read_profile(profile)
    shared = {"m0_steps": 0, "train_items": min(usual["train_items"], len(train))}
    shared |= {"test_items": min(usual["test_items"], len(test))} | given
    spec = make_spec(profile, task=f"{PREFIX}{path}", **shared)
    sweep = files.results_dir().resolve() / "own" / f"{_name(path, spec)}.yaml"
    _write(sweep, _about(path, spec, explainers, shared))
    sweeps.read_sweep(str(sweep))
    asked = {"items": str(path), "explainers": explainers, "profile": profile}
    return Study(profile, str(sweep), asked | given)


def _items_file(items: str | Path | None) -> Path:
    if not items:
        raise SpecError("items: name a JSONL file of items; examples/README.md in the study has the format")
    path = Path(items).expanduser().resolve()
    if not path.is_file():
        raise SpecError(f"items={items}: there is no file {path}; give the path of a JSONL file of items")
    return path


def _check_model(model: str | Path, items: Path) -> None:
    """Raise SpecError where no model is named, an organism, or a folder that is not there."""
    from coupling.models.packages import PACKAGES

    packaged = [name for name, package in PACKAGES.items() if package.is_model]
    ways_out = f"take a packaged model ({', '.join(packaged)}), a local folder, or a hub model as owner/name"
    if not model:
        raise SpecError(f"model: name the model that is asked the items of {items.name}; {ways_out}")
    if model in ORGANISMS:
        raise SpecError(
            f"model={model}: an organism knows nothing but its made-up world, so it cannot know the items of "
            f"{items}; {ways_out}"
        )
    folder = Path(model).expanduser()
    if str(model).startswith((".", "/", "~")) and not folder.is_dir():
        raise SpecError(f"model={model}: there is no folder {folder.resolve()}; {ways_out}")
    if "/" not in str(model) and model not in packaged and not folder.is_dir():
        raise SpecError(f"model={model}: there is no such model; {ways_out}")


def _name(items: Path, spec: Spec) -> str:
    """What the sweep's files are called: the items, the model, and the key of the first run."""
    model = Path(spec.model).name.lower()
    words = (re.sub(r"[^\w.-]+", "-", word) for word in (items.stem, model))
    return f"{files.short('-'.join(words))}-{key(spec, 'explain')}"


def _about(items: Path, spec: Spec, explainers: int, shared: dict[str, Any]) -> dict[str, Any]:
    """The content of the sweep's YAML file. Its claim is decided by `coupling claims --sweep`."""
    model = Path(spec.model).name
    claim = {
        "number": "own",
        "text": f"explanations of {model} state the behaviour of their own run, on {items.name}",
        "tasks": ["file"],
        "rule": "prefers_own",
        "arguments": {"condition": TRUE, "shuffled": SHUFFLED},
        "exploration": True,
        "premise": Premise().model_dump(),
    }
    return {
        "title": f"{items.name}, {model}",
        "question": f"Do explanations of {model} state what it now does, on the items of {items.name}?",
        "m0_seeds": 1,
        "seeds": explainers,
        "more_seeds": {SHUFFLED: 1},
        "in_all": None,
        "tasks": [spec.task],
        "values": shared,
        "conditions": {TRUE: {}, SHUFFLED: {"label_change": "shuffled", "label_change_share": 1.0}},
        "figures": ["headline"],
        "claims": [claim],
        "profiles": {spec.profile: {}},
    }


def _write(path: Path, about: dict[str, Any]) -> None:
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=110)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        files.write_text(path, text)


def greeting(study: Study) -> str:
    """Say in words what is going to be trained."""
    first = study.specs[0]
    train, test = read_items(Path(study.given["items"]))
    title = sweeps.read_sweep(study.sweep).title
    count = len(study.specs) - 1
    return (
        f"{title}: {first.steps} steps of {first.batch_size} items each\n"
        f"  {count} explainers on {TRUE}: what {Path(first.model).name} itself does on "
        f"{min(first.train_items, len(train))} items\n"
        f"  1 explainer on {SHUFFLED}: the same labels dealt out among the items, as a control\n"
        f"  all are tested on {min(first.test_items, len(test))} other items"
    )


def checked(study: Study) -> str:
    """Check items and model as `coupling check` does, and time the model on a few items for the plan.

    Returns:
        What was found, in words.

    Raises:
        StudyError: Where a run would measure something else than was asked.
    """
    from coupling.runs import Models, checks, items_of, trial

    spec, models = study.specs[0], Models()
    found = checks.report(spec, models)
    mass = trial.try_out(spec, models.load(spec), items_of(spec)[1])
    if mass < LEAST_MASS:
        found["warnings"].append(
            f"{Path(spec.model).name} gives {mass:.0%} of its probability to the choices, and runs with "
            f"less than {LEAST_MASS:.0%} count as collapsed; {CHOOSE}"
        )
    memory = f"; weights and adapter take {found['memory_gb']:.2g} GB" if found["memory_gb"] else ""
    names = ["--items", study.given["items"], "--model", spec.model, "--profile", study.profile]
    again = shlex.join(["coupling", "check", *names])
    return "\n".join(
        [
            f"checked: all {found['labels']} label texts come back from the tokenizer; the longest text has "
            f"{found['longest']} tokens{_of(found['positions'])}{memory}",
            *(f"  warning: {text}" for text in found["warnings"]),
            f"  `{again}` shows the prompts as the model reads them",
        ]
    )


def _of(positions: int | None) -> str:
    return f" of {positions}" if positions else ""


def batch(study: Study, how: "Batch") -> int:
    """Run what is missing of a study through the batch engine, with its tables and figure.

    The batch engine's files lie in the study, and results where the user stands. So results are named before
    the working directory changes. The engine calls `coupling`, which lies beside the Python of this process.

    Args:
        study: The study.
        how: How the batch is run; its profile and sweep are the study's.

    Returns:
        The exit code of the batch.
    """
    from coupling.report import batches

    os.environ["COUPLING_RESULTS"] = str(files.results_dir().resolve())
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    engine = how.engine.resolve() if how.engine.is_dir() else how.engine
    with contextlib.chdir(files.checkout()):
        return batches.run(replace(how, profile=study.profile, sweep=study.sweep, engine=engine))


def make(study: Study) -> list[bool]:
    """Train what is missing of a study in this process, and make its tables. Notebooks call this.

    Returns:
        Of each run whether it was computed now.
    """
    from coupling import runs
    from coupling.analysis import tables

    models, plan = runs.Models(), sweeps.plan(study.profile, study.sweep)
    computed = [runs.explain(spec, models=models).computed for _, spec in plan]
    tables.write(tables.collect(study.sweep, plan), tables.folder(study.profile, study.sweep))
    return computed
