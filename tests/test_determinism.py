"""One key gives one result: with one worker and with two, on one machine to the last digit.

How far results of two machines may lie apart stands in docs/howto.md. tests/analysis/test_renewal.py makes
committed tables anew from their items, and compares them with what another machine made of them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
from conftest import SMALL
from coupling import files, runs
from coupling.report import figures
from coupling.spec import make_spec

ROOT = Path(__file__).parents[1]
WORKER = """
import json, sys
from coupling import runs, spec
runs.explain(spec.make_spec(**json.loads(sys.argv[1])))
"""


def test_two_workers_at_once_give_the_rows_of_one(tmp_path, monkeypatch):
    """Both workers need the same M0 and the same base, and find nothing made."""
    values = [{"profile": "tiny"} | SMALL | {"kl_weight": kl} for kl in (1.0, 0.0)]
    command = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen([*command, json.dumps(one)], env=os.environ) for one in values]
    assert [worker.wait() for worker in workers] == [0, 0]
    two = [runs.explain(make_spec(**one)) for one in values]
    assert not any(result.computed for result in two)
    assert len(list(files.results_dir().glob("tiny/m0-*"))) == 1
    monkeypatch.setenv("COUPLING_RESULTS", str(tmp_path / "one"))
    for one, of_two in zip([runs.explain(make_spec(**one)) for one in values], two, strict=True):
        assert one.computed
        for name in ("rows", "history"):
            pd.testing.assert_frame_equal(one.table(name), of_two.table(name), check_exact=True)


def test_a_figure_is_drawn_in_the_same_bytes_twice_and_rests_on_the_runs_of_the_committed_one():
    files.figures_dir().mkdir()
    files.tables_dir().symlink_to(ROOT / "figures" / "data")
    drawn = []
    for _ in range(2):
        figures.figure("headline", "tiny", "headline")
        made = sorted((files.figures_dir() / "tiny").iterdir())
        drawn.append({path.name: path.read_bytes() for path in made})
        for path in made:
            path.unlink()
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 3
    committed = ROOT / "figures" / "tiny" / "headline-headline.json"
    assert drawn[0][committed.name] == committed.read_bytes()
