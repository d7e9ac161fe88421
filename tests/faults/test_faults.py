"""The harness of faults tells what it should, and a few injections end in the undisturbed numbers."""

import subprocess
import sys
from pathlib import Path

import pytest
from cases import Case, Outcome, tried
from coupling import files
from laboratory import Ended, Study
from prepared import Prepared
from run_faults import QUICK, all_cases, table


def test_a_few_injections_end_in_the_same_numbers_and_are_not_made_twice():
    """In a process of its own, since the harness forks and a test runner has threads."""
    command = [sys.executable, str(Path(__file__).with_name("run_faults.py")), "--quick"]
    done, again = (subprocess.run(command, capture_output=True, text=True) for _ in range(2))
    assert done.returncode == again.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" of 6: ") == len(QUICK)
    assert not again.stdout.count(" of 6: ")
    assert len(list(files.results_dir().glob("faults/*/*.json"))) == len(QUICK)


def test_every_injection_has_a_name_of_its_own_and_there_are_enough():
    names = [(case.fault, case.label) for case in all_cases()]
    assert len(set(names)) == len(names) >= 150


class Made(Study):
    """A study whose command ends as it is told."""

    def run(self, *words, before=None):
        (ended,) = self.words
        return ended

    def start(self, *words, before=None):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("ended", "found", "survived", "lost", "false", "wrong"),
    [
        (Ended(0, ""), {"a": ["1", "2"]}, 1, 0, 0, ""),
        (Ended(0, ""), {"a": ["1", "3"]}, 0, 1, 3, "other rows"),
        (Ended(0, ""), {}, 0, 2, 1, "other rows"),
        (Ended(2, "error: model is damaged"), {}, 0, 2, 0, "does not help"),
        (Ended(2, "error: something is damaged"), {}, 0, 2, 0, "does not name model"),
        (Ended(1, "Traceback (most recent call last):\nOSError: model"), {}, 0, 2, 0, "no clear error"),
    ],
    ids=["well", "other rows", "no rows", "no way out", "no name", "traceback"],
)
def test_an_injection_is_judged(tmp_path, ended, found, survived, lost, false, wrong):
    (tmp_path / "study").mkdir()
    prepared = Prepared(Made(tmp_path / "study", (ended,)), {"a": ["1", "2"]}, 1.0)
    numbers = {"numbers": lambda study, ended: found, "names": "model"}
    outcome = tried(
        Case("f", "l", lambda store: prepared, lambda study: None, **numbers), None, tmp_path / "one"
    )
    assert (outcome.survived, outcome.lost_rows) == (survived, lost)
    assert bool(outcome.false_completions) == bool(false)
    assert wrong in " ".join(outcome.wrong) if wrong else not outcome.wrong


def test_the_table_sums_up_and_keeps_the_first_error():
    found = [
        Outcome("f", "1", 1, survived=1),
        Outcome("f", "2", 3, 2, 5, 1, "error: x"),
        Outcome("g", "1", 1, 1),
    ]
    assert table(found).to_numpy().tolist() == [["f", 4, 3, 5, 1, "error: x"], ["g", 1, 1, 0, 0, ""]]
