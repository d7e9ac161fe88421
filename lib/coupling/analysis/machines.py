"""How far two machines agree on what a model does before any training (docs/method.md, "Machines").

`python -m coupling.analysis.machines` compares the bases that are among the results here with the published
records of the same key that were made on another CPU, and writes figures/data/machines.parquet.
"""

import pandas as pd

from coupling import files
from coupling.analysis import tables
from coupling.runs import folders, records

TABLE = "machines"
# The largest share of items on which labels may differ. It was set after the first comparison, above the 95 %
# interval of the share that was found there.
TOLERANCE = 0.04
_SHARES = {"labels": "label", "forced_choices": "forced_choice", "texts": "free"}


def other_share(here: pd.DataFrame, there: pd.DataFrame) -> dict[str, float]:
    """Compare what two machines found of one untrained model.

    Args:
        here: The table `untrained` of a base: id, and as text label, forced_choice and free.
        there: The same of another machine, with the same ids.

    Returns:
        items: how many items there are. labels, forced_choices and texts: the share of them on which the
            model's label, the label that it gives in a forced choice, and what it says freely are not the
            same. Of records, which hold no text, digests are compared. No label on both is the same.

    Raises:
        ValueError: Where the two are not of the same items.
    """
    if list(here["id"]) != list(there["id"]):
        raise ValueError("the two machines were not asked the same items")
    both = {name: (here[column].fillna(""), there[column].fillna("")) for name, column in _SHARES.items()}
    shares = {name: float((one != other).mean()) for name, (one, other) in both.items()}
    return {"items": len(here)} | shares


def table() -> pd.DataFrame:
    """Compare every base here with its published record, where another CPU made the record.

    Returns:
        One row a base: profile, result (the name of its folder), what `other_share` returns, and the names
            of the CPUs, cpu and cpu_published.
    """
    rows = []
    for here in sorted(files.results_dir().glob("*/base-*")):
        record = records.published(here)
        if record is None or not folders.complete(here):
            continue
        cpus = [files.read_json(one / folders.MANIFEST)["hardware"]["cpu"] for one in (here, record)]
        if cpus[0] == cpus[1]:
            continue
        frames = [files.read_table(one / "untrained.parquet") for one in (here, record)]
        frames[0] = records.with_digests(frames[0], "free")
        about = {"profile": here.parent.name, "result": here.name}
        rows.append(about | other_share(*frames) | {"cpu": cpus[0], "cpu_published": cpus[1]})
    return pd.DataFrame(rows)


def main() -> None:
    """Write the table, and print it."""
    found = table()
    if found.empty:
        print("no base here has a published record of another CPU")
        return
    tables.write_study_table(TABLE, found)
    print(found.to_string(index=False))


if __name__ == "__main__":
    main()
