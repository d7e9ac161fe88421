"""Where the effect is largest over the sweeps of the confirmation."""

from pathlib import Path

import pandas as pd
import pytest
from coupling import files
from coupling.report.largest import TITLE, largest_parts, settings

TABLES = Path(__file__).parents[2] / "figures/data"


@pytest.fixture
def committed(tmp_path):
    """The committed tables of four sweeps: three of fresh M0s, one of which shares the runs of others."""
    (files.tables_dir() / "tiny").mkdir(parents=True)
    for sweep in ("circuits", "headline", "confirm_regions", "confirm_disagreement"):
        (files.tables_dir() / "tiny" / sweep).symlink_to(TABLES / "tiny" / sweep)


def test_settings_with_labels_of_their_own_m0_count_and_kinds_stand_apart(committed):
    found = settings()
    assert set(found["sweep"]) == {
        "Confirmation, regions without labels",
        "Confirmation, disagreement that cannot be learnt",
    }
    random = found[found["sweep"].str.contains("disagreement")]
    assert list(random["condition"]) == ["0"]  # in the others labels were changed
    regions = found[found["sweep"].str.contains("regions")]
    assert set(regions["region"]) == {"labelled", "held out"}
    assert not found.duplicated(["task", "gap", "preference"]).any()
    read = pd.read_csv(TABLES / "tiny/confirm_regions/regions.csv")
    assert found["gap"].max() == pytest.approx(read["gap"].max())


def test_the_page_names_the_largest_and_its_bound(committed):
    head, _, sentences, table, *_ = largest_parts()
    assert head == f"## {TITLE}"
    best = settings().sort_values("gap").iloc[-1]
    assert f"The largest gap is {best['gap']:+.3f}" in sentences
    assert f"on {best['divergent']:.3f} of the items" in sentences
    assert len(table.splitlines()) == 2 + 2 * 3  # two rows a task


def test_without_tables_there_is_no_part(tmp_path):
    files.tables_dir().mkdir(parents=True)
    assert largest_parts() == []
