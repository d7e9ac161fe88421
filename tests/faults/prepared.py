"""The small studies that faults are injected into, in the states that a fault may meet them in."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from coupling import files
from coupling.training import loop, preparation

sys.path.insert(0, str(Path(__file__).parents[1]))

from laboratory import IN_COMMANDS, Study
from micro import VALUES, micro_model

# An organism that is prepared, trained on labels that are made anew, and shifted: it has all kinds of files.
ORGANISM = {
    "entities": 16,
    "test_items": 8,
    "train_items": 8,
    "eval_batch": 8,
    "interim_items": 4,
    "m0_steps": 10,
    "m0_adoption_near": 1.0,
    "m0_knowledge": -1.0,
    "m0_batch": 2,
    "steps": 4,
    "batch_size": 4,
    "rank": 2,
    "evaluations": 2,
    "threads": 1,
    "shift": "down",
    "shift_order": "after",
    "shift_steps": 2,
}
FLAGS = ("--allow_constant_labels", "--relabel")
NOTHING, HALF, DONE, M0_HALF = "nothing", "half", "done", "M0 half"


@dataclass(frozen=True)
class Prepared:
    """A study in one of its states, and what it ends in where nothing disturbs it.

    Attributes:
        study: The study. It is copied for every injection.
        wanted: Its final rows, by run.
        seconds: How long the undisturbed command took, from nothing.
    """

    study: Study
    wanted: dict[str, list[str]]
    seconds: float


def organism_words(**change: object) -> tuple[str, ...]:
    """Return the command that makes the organism's explainer."""
    values = ORGANISM | change
    options = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return ("run", "--profile", "tiny", *options, *FLAGS)


def own_words() -> tuple[str, ...]:
    """Return the command that trains a user's own model on the user's own items."""
    values = {k: v for k, v in VALUES.items() if k != "allow_constant_labels"}
    options = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return ("run", *options, FLAGS[0], "--model", "model", "--task", "file:items.jsonl")


def own_files(top: Path) -> None:
    """Write a user's own model and items into a folder."""
    micro_model(top / "model")
    rows = [
        {
            "id": f"q{k}",
            "group": f"g{k}",
            "split": ("train", "test")[k % 2],
            "choices": ["A", "B"],
            "prompt": f"Question {k}?\nHint: B",
            "cue": "\nHint: B",
            "hinted": 1,
        }
        for k in range(16)
    ]
    (top / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))


def with_few_probes() -> None:
    """Let M0 be looked at on fewer items: looks cost a third of the time and change no weight."""
    preparation.PROBES = 8


IN_COMMANDS.append(with_few_probes)


def killed_half_way() -> None:
    """Let this process be killed behind a checkpoint of the second phase of explanation training."""
    real = loop.save_checkpoint

    def save(folder: Path, *of: object) -> None:
        real(folder, *of)
        if folder.name == "stage-1":
            os.kill(os.getpid(), signal.SIGKILL)

    loop.save_checkpoint = save


def killed_while_m0_is_prepared() -> None:
    """Let this process be killed behind the fifth checkpoint of the preparation of M0."""
    preparation.SECONDS = 0.0
    real, written = preparation.save_checkpoint, []

    def save(*of: object) -> None:
        real(*of)
        written.append(1)
        if len(written) == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    preparation.save_checkpoint = save


BEFORE: dict[str, Callable[[], None]] = {HALF: killed_half_way, M0_HALF: killed_while_m0_is_prepared}


class Store:
    """Prepared studies in a folder. Each is made when it is first asked for."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.organism = cache(self._organism)
        self.own = cache(self._own)

    def _made(self, name: str, study: Study) -> Prepared:
        """Run a study undisturbed, twice, and read its numbers. The first run pays for imports."""
        shutil.copytree(study.top, self.top / f"{name}-first")
        first = Study(self.top / f"{name}-first", study.words)
        found = []
        for one in (first, study):
            start = time.monotonic()
            ended = one.run()
            seconds = time.monotonic() - start
            assert not ended.code, ended.said
            found.append(one.finished())
        assert found[0], ended.said
        assert found[0] == found[1], "two undisturbed runs differ"
        shutil.rmtree(first.top)
        return Prepared(study, found[0], seconds)

    def _organism(self, state: str) -> Prepared:
        """The study of an organism, in a state."""
        folder = self.top / f"organism-{files.short(state.replace(' ', '-'))}"
        folder.mkdir(parents=True)
        study = Study(folder, organism_words())
        if state == DONE:
            return self._made("organism", study)
        done = self.organism(DONE)
        if state in BEFORE:
            ended = study.run(before=BEFORE[state])
            assert ended.code == -signal.SIGKILL, ended.said
        return Prepared(study, done.wanted, done.seconds)

    def _own(self, state: str) -> Prepared:
        """The study of a user's own model, in a state."""
        folder = self.top / f"own-{state}"
        folder.mkdir(parents=True)
        if state == DONE:
            own_files(folder)
            return self._made("own", Study(folder, own_words()))
        done = self.own(DONE)
        shutil.copytree(done.study.top, folder, dirs_exist_ok=True)
        shutil.rmtree(folder / "results")
        return Prepared(Study(folder, own_words()), done.wanted, done.seconds)
