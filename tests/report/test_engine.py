"""The batch engine as its user sees it: one line, a log, and an end where it is told to end."""

import os
import signal
import sys
import threading

import pytest
from coupling import files
from coupling.report import engine, failures
from coupling.report.pace import Pace

FAILS = """
import time
from coupling.report import failures
try:
    with failures.kept("something", ["words"]):
        1 / 0
except ZeroDivisionError:
    time.sleep(1)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a script in the place of the engine; its exit code, and the log."""
    monkeypatch.setattr(engine, "PAUSE", 0.05)
    monkeypatch.setattr("coupling.progress.SHORTEST", 0.0)
    monkeypatch.setattr("coupling.progress.SHARE", 0.0)
    log = tmp_path / "log" / "one.txt"

    def script(code):
        return engine.run([sys.executable, "-c", code], log, Pace([], at_once=1)), log

    return script


def test_what_the_engine_prints_goes_to_a_file_and_its_user_sees_how_far_it_is(run, capfd):
    code, log = run(
        "import sys, time; print('out'); print('err', file=sys.stderr); time.sleep(1); sys.exit(3)"
    )
    assert code == 3
    assert sorted(log.read_text().splitlines()) == ["err", "out"]
    said = capfd.readouterr()
    assert said.out == ""
    assert set(said.err.splitlines()) == {"tables and figures are being made"}
    assert engine.tail(log).splitlines()[-1] in ("out", "err")


def test_what_fails_meanwhile_is_counted(run, capfd):
    run(FAILS)
    assert "tables and figures are being made; 1 failed" in capfd.readouterr().err
    assert failures.count() == 1


def test_a_signal_to_stop_is_handed_on_and_the_end_of_the_engine_is_waited_for(run, tmp_path):
    here, mark = os.getpid(), tmp_path / "ended"
    code = (
        "import pathlib, signal, sys, time\n"
        f"def end(*_): time.sleep(0.3); pathlib.Path({str(mark)!r}).touch(); sys.exit(5)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)"
    )

    def stop():
        while not (tmp_path / "ready").exists():
            pass
        os.kill(here, signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=stop)
    thread.start()
    assert run(code)[0] == 5
    thread.join()
    assert mark.exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_log_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "log").touch()
    with pytest.raises(files.StoreError, match="cannot write"):
        engine.run([sys.executable, "-c", ""], tmp_path / "log" / "one.txt", Pace([], at_once=1))
