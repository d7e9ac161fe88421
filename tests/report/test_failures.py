"""Failures: kept when something fails, forgotten when it succeeds, and said in one line."""

import pytest
from coupling import files
from coupling.report import failures
from coupling.spec import SpecError


class NotebookError(Exception):
    """As papermill raises it: its text is the whole traceback of the cell."""

    ename, evalue = "LabelError", "labels=constant: 97 % are one text\nmore"

    def __str__(self):
        return "-" * 80 + "\nException encountered at In [3]:\n..."


class DeadKernelError(RuntimeError):
    pass


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotebookError(), "LabelError: labels=constant: 97 % are one text"),
        (SpecError("rank=0: give more"), "rank=0: give more"),
        (DeadKernelError("Kernel died"), "the process died, perhaps killed by the system for lack of memory"),
        (ValueError("\x1b[31mred\x1b[0m"), "ValueError: red"),
        (KeyError(), "KeyError: no message"),
    ],
)
def test_an_error_is_one_line(error, line):
    assert failures.in_a_line(error) == line


def test_a_failure_is_kept_until_the_same_thing_succeeds(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    for why in ("first", "second"):
        with pytest.raises(ValueError, match=why), failures.kept("a/b", ["run", "--task", "file:my items"]):
            raise ValueError(why)
    found = failures.failure("a/b")
    assert found.why == "ValueError: second"
    assert found.command.endswith(".venv/bin/coupling run --task 'file:my items'")
    assert found.command.startswith(f"COUPLING_RESULTS={files.results_dir()}")
    assert failures.failure("b") is None
    with failures.kept("a/b", ["run"]):
        pass
    assert failures.failure("a/b") is None


def test_a_failure_that_cannot_be_written_does_not_hide_the_error():
    files.results_dir().mkdir()
    (files.results_dir() / "failed").touch()  # no folder can be made there
    with pytest.raises(ValueError, match="the error"), failures.kept("a/b", ["run"]):
        raise ValueError("the error")


def test_a_damaged_file_of_a_failure_is_no_failure():
    with pytest.raises(ValueError, match="x"), failures.kept("a/b", ["run"]):
        raise ValueError("x")
    (path,) = (files.results_dir() / "failed").iterdir()
    path.write_text("{")
    assert failures.failure("a/b") is None
