"""The key of a result: a hash of all that can change the result, and of nothing else."""

import hashlib
import json
from pathlib import Path
from typing import Any

from coupling.checksums import sha256_once
from coupling.files import BY_CONTENT, SUMS
from coupling.spec.inputs import adapter_base
from coupling.spec.section import SCHEMA_VERSION, STAGES
from coupling.spec.spec import SECTIONS, Spec, fields_of
from coupling.spec.world import WorldSection
from coupling.tasks import task_names, task_of
from coupling.tasks.file import PREFIX


def key(spec: Spec, stage: str) -> str:
    """Return the key of the result of a stage: 12 hexadecimal digits.

    The key hashes the fields of the stage and of all stages before it, defaults included. These exceptions
    keep out what cannot change the result, and keep earlier keys valid:

    - A file enters by its content, not by its path. With the folder of an adapter enters that of its base.
    - A field that neither the tasks nor the model read does not enter, for instance the preparation of a
      model that is taken as it is.
    - A field that was added later does not enter at its default.
    - The explainer's seed does not enter the key of the labels where `items_seed` draws the training items.
    - The label source enters by the key of its M0.
    - The run whose trained model is M0 (`explainer`) enters by its own key.
    - A section's schema version enters only where a declared change applies to the specification, or to the
      label source.

    Args:
        spec: The specification of the run.
        stage: One of `STAGES`.
    """
    payload = {"schema": SCHEMA_VERSION, "stage": stage} | _values(spec, stage)
    if changed := section_versions(spec, stage):
        payload["sections"] = changed
    if payload.get("source") and (changed := section_versions(spec.label_source, "labels")):
        payload["source_sections"] = changed
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:12]


def section_versions(spec: Spec, stage: str) -> dict[str, int]:
    """Return the schema versions that declared changes give to the sections of a specification.

    Args:
        spec: The specification of the run.
        stage: One of `STAGES`. A section counts if its first stage is this stage or an earlier one.

    Returns:
        By section name its version. Sections whose version is `SCHEMA_VERSION` are left out.
    """
    reached = STAGES[: STAGES.index(stage) + 1]
    versions = {
        name: section.version_for(spec)
        for name, section in SECTIONS.items()
        if section.first_stage() in reached
    }
    return {name: version for name, version in versions.items() if version > SCHEMA_VERSION}


def content_digest(path: Path) -> str:
    """Return a SHA-256 digest of a file, or of the names and contents of the files directly in a folder."""
    if path.is_file():
        return _digest_of([("", sha256_once(path))])
    # A list of checksums says nothing that the files do not say.
    inside = sorted(p for p in path.iterdir() if p.is_file() and p.name != SUMS)
    return _digest_of([(p.name, sha256_once(p)) for p in inside])


def _values(spec: Spec, stage: str) -> dict[str, Any]:
    """Return what enters the key of a stage, by field."""
    names = fields_of(*STAGES[: STAGES.index(stage) + 1])
    left_out = _unread(spec) | _later_at_default(spec)
    if stage == "labels" and spec.items_seed >= 0:
        left_out.add("seed")
    return {name: _as_entered(spec, name) for name in names if name not in left_out}


def _as_entered(spec: Spec, name: str) -> Any:
    """Return what stands in the key for the value of one field."""
    value = getattr(spec, name)
    if name in ("posts", "requests", "model", "judge"):
        return _by_content(value, in_folder=name in ("model", "judge"))
    if name == "task" and spec.items_file is not None:
        return PREFIX + content_digest(Path(spec.items_file))
    if name == "source" and value:
        return key(spec.label_source, "m0")
    if name == "explainer" and value >= 0:
        return key(spec.explained, "explain")
    return value


def _by_content(value: str, in_folder: bool) -> str:
    """Return the content that a path points to, or the value itself where there is no such path."""
    path = Path(value or "-")
    if path.is_dir() if in_folder else path.is_file():
        below = [_by_content(base, True)] if in_folder and (base := adapter_base(path)) else []
        return "+".join(["content:" + content_digest(path), *below])
    if value.startswith(BY_CONTENT):  # the key is that of the file's path, even where the file is missing
        return "content:" + _digest_of([("", value.removeprefix(BY_CONTENT))])
    return value


def _unread(spec: Spec) -> set[str]:
    """Return the fields that neither the tasks nor the model of a specification read."""
    asked = [task_of(name) for name in spec.tasks]
    read_by_some = {field for name in task_names() for field in task_of(name).reads}
    unread = read_by_some - {field for task in asked for field in task.reads}
    if not spec.m0_steps:
        unread |= {name for name in fields_of("m0") if name.startswith("m0_")}
        if all(task.source(spec) for task in asked):
            unread |= set(WorldSection.model_fields)
            if spec.items_file is None:
                unread.discard("world_seed")  # it still draws the test split
    return unread


def _later_at_default(spec: Spec) -> set[str]:
    """Return the fields that were added after the first results and have their default."""
    return {
        name
        for name, field in Spec.model_fields.items()
        if field.json_schema_extra["later"] and getattr(spec, name) == field.default
    }


def _digest_of(files: list[tuple[str, str]]) -> str:
    """Return a digest of files that are given as (name, digest of the content)."""
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()
