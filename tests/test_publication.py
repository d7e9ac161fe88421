"""What is made to be published and cited: the site's workflow and packages, citation, changelog."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text())


def test_the_workflow_builds_the_site_with_least_rights_and_publishes_main_alone():
    build, publish = WORKFLOW["jobs"]["build"], WORKFLOW["jobs"]["publish"]
    assert [step["run"].split()[:2] for step in build["steps"] if "run" in step] == [["make", "site"]]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in build
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert "refs/heads/main" in publish["if"]
    uploaded = [step["with"]["path"] for step in build["steps"] if "upload" in step.get("uses", "")]
    assert uploaded == ["site"]
    for job in WORKFLOW["jobs"].values():
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert used
        assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in used)


@pytest.mark.parametrize(("target", "folder"), [("site", "site"), ("test-browser", "browser")])
def test_packages_of_a_target_are_pinned_with_hashes_and_contradict_no_pin_of_the_lock(target, folder):
    text = (ROOT / f"env/{folder}/requirements.txt").read_text()
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    pins = dict(re.match(r"([\w.-]+)==([\w.]+)", entry).groups() for entry in entries)
    asked = (ROOT / f"env/{folder}/requirements.in").read_text()
    assert set(re.findall(r"^([a-z][\w-]*)", asked, re.MULTILINE)) <= set(pins)
    lock = dict(
        re.findall(r"^([a-z][\w.-]*)==([\w.]+)", (ROOT / "env/requirements.lock").read_text(), re.MULTILINE)
    )
    alike = {name for name in pins.keys() & lock.keys() if f"{name}==" in text}
    several = {name for name in alike if len(re.findall(rf"^{name}==", text, re.MULTILINE)) > 1}
    assert {name: pins[name] for name in alike - several} == {name: lock[name] for name in alike - several}
    command = ["make", "-n", "-o", ".venv/ready", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"--require-hashes -r env/{folder}/requirements.txt" in done.stdout


def test_citation_and_changelog_name_the_version_and_the_licence_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == VERSION
    assert citation["license"] == "Apache-2.0"
    assert {"cff-version", "message", "title", "authors", "references"} <= set(citation)
    assert "2606.32038" in citation["references"][0]["url"]
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert VERSION in changes
    headings = re.findall(r"^### (.*)$", changes, re.MULTILINE)
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    tags = subprocess.run(["git", "tag"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert set(re.findall(r"^## \[(\d[\w.]*)\]", changes, re.MULTILINE)) <= {tag.lstrip("v") for tag in tags}
