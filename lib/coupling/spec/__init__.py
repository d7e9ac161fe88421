"""What to run: one specification, and the key that names its result.

A specification is flat, so that a notebook parameter, a command-line option and a field are the same word.
Its fields are declared by section, one file of this package each: world, m0, items, labels, training, shift,
evaluation, circuits. Every field also belongs to one stage of a run, and the key of a stage hashes the fields
of that stage and of all stages before it. Profiles are data: one YAML file each in `profiles/`.

A change of code that changes results is declared in the section that it belongs to (`Change`). It moves the
keys of the specifications that it applies to, from the section's first stage on, and no others.
"""

from coupling.errors import suggest
from coupling.spec.key import content_digest, key, section_versions
from coupling.spec.m0 import ORGANISMS
from coupling.spec.make import given, make_spec, profile_names, read_profile
from coupling.spec.phase import Phase
from coupling.spec.section import SCHEMA_VERSION, STAGES, Change, Section, SpecError
from coupling.spec.spec import SECTIONS, Spec, fields_of
from coupling.spec.values import from_anywhere, plain

__all__ = [
    "ORGANISMS",
    "SCHEMA_VERSION",
    "SECTIONS",
    "STAGES",
    "Change",
    "Phase",
    "Section",
    "Spec",
    "SpecError",
    "content_digest",
    "fields_of",
    "from_anywhere",
    "given",
    "key",
    "make_spec",
    "plain",
    "profile_names",
    "read_profile",
    "section_versions",
    "suggest",
]
