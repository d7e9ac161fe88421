"""The places that pin the environment agree, and hold for every Python that the study names."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "env/requirements.lock").read_text()
ASKED = (ROOT / "env/requirements.in").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ["3.11", "3.12", "3.13"]
PINS = [
    (name, version, marker)
    for name, version, marker in re.findall(r"^([a-z][\w.-]*)==([\w.]+)(?: ; (.*?))? \\$", LOCK, re.MULTILINE)
]


CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
CONTAINERFILE = (ROOT / "env/Containerfile").read_text()
CLUSTERS = ["slurm", "kubernetes"]


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
    assert f"pytorch={torch}" in CONDA
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
    assert f"python{pythons}" in CONDA
    makefile = (ROOT / "Makefile").read_text()
    assert f"--python-version {PYTHONS[0]} --universal" in makefile  # the lock holds from the oldest one on
    assert " ".join(f"python{python}" for python in PYTHONS) in makefile
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")


def test_what_is_installed_without_its_needs_finds_them_in_the_lock():
    """The lock is installed with --no-deps, and torch may come from conda, which asks nobody."""
    pins = pinned(f"{sys.version_info.major}.{sys.version_info.minor}")
    apart = (ROOT / "env/gpu-libraries.txt").read_text().split("\n")
    missing = []
    for name in ["torch", *pins]:
        if name != "torch" and _installed(name) != pins[name]:
            continue  # another version is installed here, or none, and says nothing of the pinned one
        for need in map(Requirement, metadata.requires(name) or []):
            other = canonicalize_name(need.name)
            if (need.marker and not need.marker.evaluate({"extra": ""})) or other in apart:
                continue
            if other not in pins or not need.specifier.contains(pins[other], prereleases=True):
                missing.append(f"{name} needs {need}, and the lock has {pins.get(other)}")
    assert missing == []


def _installed(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def test_conda_gives_python_pip_and_torch_and_the_lock_all_else():
    assert [re.split(r"[=<>]", one)[0] for one in CONDA[:-1]] == ["python", "pip", "pytorch"]
    assert CONDA[-1] == {"pip": ["-r env/requirements.lock"]}


def test_the_container_is_built_from_the_lock_before_the_code_is_there():
    steps = re.findall(r"^(FROM|USER|COPY|RUN|ENV|ARG) (.*(?:\n .*)*)", CONTAINERFILE, re.MULTILINE)
    lock = next(k for k, (step, words) in enumerate(steps) if "env/requirements.lock env/torch.txt" in words)
    build = next(k for k, (step, words) in enumerate(steps) if step == "RUN" and "make .venv/ready" in words)
    code = next(k for k, (step, words) in enumerate(steps) if step == "COPY" and words.endswith(" . ."))
    assert lock < build < code
    assert "==" not in CONTAINERFILE, "a version that no lock holds"
    assert re.search(r"^ARG BASE=\S+(:[\w.-]+|@sha256:[0-9a-f]{64})$", CONTAINERFILE, re.MULTILINE)
    assert ":latest" not in CONTAINERFILE
    assert re.findall(r"^USER (.*)$", CONTAINERFILE, re.MULTILINE)[-1] not in ("root", "0")
    assert any(f"python{python} " in CONTAINERFILE for python in PYTHONS)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "results", "data"} <= set(ignored)


def test_profiles_of_clusters_treat_runs_as_the_profile_of_one_machine_does():
    alike = yaml.safe_load((ROOT / "env/local/config.yaml").read_text())
    alike.pop("quiet")  # says what is printed
    for cluster in CLUSTERS:
        profile = yaml.safe_load((ROOT / f"env/{cluster}/config.yaml").read_text())
        assert alike.items() <= profile.items(), cluster
        assert profile["executor"] == cluster
        assert not {"gpu", "gres", "slurm_extra"} & profile["default-resources"].keys(), (
            "not every job needs a GPU"
        )


def test_options_of_the_profiles_are_options_of_snakemake():
    from snakemake.cli import get_argument_parser

    known = {name.lstrip("-") for action in get_argument_parser()._actions for name in action.option_strings}
    for cluster in ["local", *CLUSTERS]:
        options = yaml.safe_load((ROOT / f"env/{cluster}/config.yaml").read_text()).keys()
        assert {name for name in options if not name.startswith(f"{cluster}-")} <= known


def test_plugins_of_clusters_are_pinned_with_hashes_and_contradict_no_pin_of_the_lock():
    locked = {(name, version) for name, version, _ in PINS}
    for cluster in CLUSTERS:
        text = (ROOT / f"env/{cluster}/requirements.txt").read_text()
        entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in entry for entry in entries)
        pins = {tuple(re.match(r"([\w.-]+)==([\w.]+)", entry).groups()) for entry in entries}
        assert f"snakemake-executor-plugin-{cluster}" in dict(pins)
        assert {(name, version) for name, version in pins if name in {name for name, _ in locked}} <= locked
