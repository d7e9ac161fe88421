"""The Makefile on machines that have less than Linux: macOS has GNU make 3.81 and no sha256sum."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
LATER = r"^[\w ]+(!=|::=)|\$\((file|let|intcmp|guile) |^\.(ONESHELL|RECIPEPREFIX)|^undefine|&:"  # since 3.82
FEW_TOOLS = ["bash", "cat", "rm", "mkdir", "touch", "env"]  # of POSIX; no sha256sum, no shasum
# stands in for Python: makes an empty environment whose pip writes down what it is asked for
PYTHON = """#!{bash}
if [ "$1" = -m ]; then
  mkdir -p .venv/bin
  printf '#!{bash}\\necho "$@" >> asked\\n' > .venv/bin/pip
  {chmod} +x .venv/bin/pip
else
  exec {python} "$@"
fi
"""


@pytest.fixture
def machine(tmp_path):
    """A machine with a bare checkout and few tools: a function that builds the environment there."""
    tools, study = tmp_path / "tools", tmp_path / "study"
    tools.mkdir()
    (study / "env").mkdir(parents=True)
    for name in ("Makefile", "env/requirements.lock", "env/torch.txt"):
        shutil.copy(ROOT / name, study / name)
    for tool in FEW_TOOLS:
        (tools / tool).symlink_to(shutil.which(tool))
    where = {"bash": shutil.which("bash"), "chmod": shutil.which("chmod"), "python": sys.executable}
    (tools / "python3").write_text(PYTHON.format(**where))
    (tools / "python3").chmod(0o755)

    def build():
        command = [shutil.which("make"), ".venv/ready", "PYTHON=python3"]
        done = subprocess.run(command, cwd=study, env={"PATH": str(tools)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        asked = study / "asked"
        return study, asked.read_text().splitlines() if asked.exists() else []

    return build


def test_the_environment_is_built_without_sha256sum_and_again_only_where_the_lock_changed(machine):
    study, asked = machine()
    assert len(asked) == 3
    assert "-r env/torch.txt" in asked[0]
    assert "--require-hashes -r env/requirements.lock" in asked[1]
    content = b"".join((study / "env" / name).read_bytes() for name in ("requirements.lock", "torch.txt"))
    assert (study / ".venv/ready").read_text().strip() == hashlib.sha256(content).hexdigest()
    later = time.time() + 10  # dates of two writes in one tick of the file system's clock can be equal
    os.utime(study / "env/requirements.lock", (later, later))
    assert len(machine()[1]) == 3  # newer, but the same
    with (study / "env/torch.txt").open("a") as handle:
        handle.write("# another line\n")
    os.utime(study / "env/torch.txt", (later, later))
    assert len(machine()[1]) == 6


def test_the_makefile_uses_nothing_that_make_3_81_lacks():
    assert not re.search(LATER, MAKEFILE, re.MULTILINE)
    assert re.search(r"^SHELL +:= /bin/bash$", MAKEFILE, re.MULTILINE)  # see the Makefile's first comment
    assert not re.search(r"\b(sha256sum|shasum|nproc|readlink -f|sed -i)\b", MAKEFILE)


def test_make_test_checks_format_rules_and_layers_before_the_tests():
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/ready", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    steps = ["ruff format --check", "ruff check", "lint-imports", "-m pytest"]
    places = [done.stdout.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_make_study_hands_its_variables_on_and_stops_where_something_is_not_done():
    command = ["make", "-n", "-o", ".venv/ready", "study", "JOBS=3", "FORCE=1", "REUSE=1", "SEEDS=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    words = " ".join(done.stdout.split())
    assert "coupling study --profile tiny --sweep start --seeds 2 --engine env/local --jobs 3" in words
    assert "--force --reuse" in words
    assert "coupling study" not in words.split("--reuse", 1)[1]  # later commands have lines of their own


@pytest.mark.parametrize(
    ("target", "handed"),
    [("verify", "--seeds 2 --engine env/local --jobs 3 --force"), ("results", "--seeds 2 --force")],
)
def test_make_verify_and_make_results_hand_their_variables_on(target, handed):
    command = ["make", "-n", "-o", ".venv/ready", target, "JOBS=3", "FORCE=1", "SEEDS=2", "SWEEP=rank"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"coupling {target} --profile tiny --sweep rank {handed}" in " ".join(done.stdout.split())


def test_folders_of_the_environment_are_meant_from_where_the_user_stands(tmp_path):
    environment = os.environ | {"PWD": str(tmp_path), "COUPLING_RESULTS": "mine", "COUPLING_DATA": "/data"}
    command = ["make", "-pn", "-o", ".venv/ready", "-C", str(ROOT), "study"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert f"COUPLING_RESULTS := {tmp_path}/mine\n" in done.stdout
    assert "COUPLING_DATA := /data\n" in done.stdout
