"""The places that pin the environment agree, and hold for every Python that the study names."""

import re
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "env/requirements.lock").read_text()
ASKED = (ROOT / "env/requirements.in").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ["3.11", "3.12", "3.13"]
PINS = [
    (name, version, marker)
    for name, version, marker in re.findall(r"^([a-z][\w.-]*)==([\w.]+)(?: ; (.*?))? \\$", LOCK, re.MULTILINE)
]


def pinned(python):
    """The versions that the lock gives to one Python on Linux, by package."""
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_name": "cpython",
    }
    machine |= {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix"}
    fitting = [(n, v) for n, v, marker in PINS if not marker or Marker(marker).evaluate(machine)]
    assert len(dict(fitting)) == len(fitting)
    return dict(fitting)


def test_torch_is_one_version_everywhere_and_no_part_of_the_lock():
    torch = (ROOT / "env/torch.txt").read_text().strip().removeprefix("torch==")
    assert f"pytorch={torch}\n" in (ROOT / "environment.yml").read_text()
    assert f"torch=={torch} " in ASKED
    assert not re.search(r"^(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==", LOCK, re.MULTILINE)


def test_every_pin_has_a_hash():
    entries = re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PINS) > 100
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_lock_gives_every_python_what_is_asked_for():
    wanted = dict(re.findall(r"^([a-z][\w-]*)([<>=][^ #\n]*)?", ASKED, re.MULTILINE))
    assert wanted.pop("torch")
    assert {"import-linter", "snakemake"} < wanted.keys()
    for python in PYTHONS:
        found = pinned(python)
        for name, versions in wanted.items():
            assert found.get(name, "nothing") in SpecifierSet(versions), (python, name)


def test_the_pythons_are_the_same_everywhere():
    pythons = PROJECT["project"]["requires-python"]
    assert [f"3.{minor}" for minor in range(9, 16) if f"3.{minor}" in SpecifierSet(pythons)] == PYTHONS
    assert f"  - python{pythons}\n" in (ROOT / "environment.yml").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert f"--python-version {PYTHONS[0]} --universal" in makefile  # the lock holds from the oldest one on
    assert " ".join(f"python{python}" for python in PYTHONS) in makefile
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")
