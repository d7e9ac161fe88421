"""The JSON that `plan` and `status` print is what docs/schemas says."""

import json
from pathlib import Path

import jsonschema
import pytest
from coupling import cli
from coupling.report import failures, schemas, status
from coupling.runs import folders
from own_sweeps import own_sweep
from typer.testing import CliRunner

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("command", schemas.PRINTED)
def test_the_schema_in_the_docs_is_that_of_the_code(command):
    assert json.loads((SCHEMAS / f"{command}.json").read_text()) == schemas.schema(command)


@pytest.mark.parametrize("command", schemas.PRINTED)
def test_what_is_printed_has_the_schema_of_the_docs(command, spec, tmp_path):
    sweep = own_sweep(tmp_path)
    notebook = folders.run_folder(spec) / folders.NOTEBOOK
    notebook.parent.mkdir(parents=True)
    with (
        pytest.raises(ValueError, match="no"),
        failures.kept(str(notebook), ["notebook", "a", "b"], notebook),
    ):
        raise ValueError("no")
    done = CliRunner().invoke(cli.app, [command, "--sweep", str(sweep), "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    schema = json.loads((SCHEMAS / f"{command}.json").read_text())
    jsonschema.validate(printed, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{"runs": 1}] if command == "status" else {"total": 1}, schema)
    if command == "status":
        assert [one["why"] for one in printed[0]["failures"]] == ["ValueError: no"]


def test_status_in_words_ends_with_failures_and_the_command_of_each(spec, tmp_path):
    sweep = own_sweep(tmp_path)
    notebook = folders.run_folder(spec) / folders.NOTEBOOK
    notebook.parent.mkdir(parents=True)
    notebook.write_text("{}")  # begun, and killed before it could say anything
    found = status.status("tiny", str(sweep))
    assert (found.runs, found.started, found.missing) == (2, 1, 1)
    text = status.said(found, computed=0)
    assert text.startswith("2 runs: 1 started, 1 missing; 0 computed now, 0 reused")
    assert "why:    it was stopped before its end" in text
    assert f".venv/bin/coupling notebook notebooks/02_train.ipynb {notebook} -p profile=tiny" in text
