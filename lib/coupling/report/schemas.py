"""The JSON of commands that programs read, as JSON schemas in docs/schemas."""

import json
from typing import Any

from pydantic import TypeAdapter

from coupling import files
from coupling.report.planning import Plan
from coupling.report.status import Status

# By command: what `coupling <command> --json` prints.
PRINTED = {"plan": Plan, "status": list[Status]}


def schema(command: str) -> dict[str, Any]:
    """Return the JSON schema of what a command prints with --json."""
    described = TypeAdapter(PRINTED[command]).json_schema(mode="serialization")
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"coupling {command} --json"}
    return described | about


def write() -> None:
    """Write the schemas into docs/schemas, one file a command."""
    for command in PRINTED:
        path = files.root() / "docs" / "schemas" / f"{command}.json"
        files.write_text(path, json.dumps(schema(command), indent=1) + "\n")
