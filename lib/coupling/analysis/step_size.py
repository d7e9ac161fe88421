"""The size of a step by LoRA rank: how far the first steps move the weights (PLAN.md, eleventh part).

At one learning rate an adapter of higher rank moves the weights further. Whether rank or the size of a step
matters is told apart by runs whose learning rate makes up for it. The sweep `step_size` trains for the first
steps alone. To first order their update grows with the learning rate, which gives the rate that moves the
weights as far as the reference rank does.

    python -m coupling.analysis.step_size
"""

import pandas as pd

from coupling import sweep
from coupling.runs import folders, graph, records

SWEEP = "step_size"
PROFILE = "tiny"


def norms() -> pd.DataFrame:
    """Read how far the runs of the sweep moved the weights.

    Returns:
        One row a run: rank, m0_seed, and norm, the Frobenius norm of what the adapter adds to all weights.

    Raises:
        PublishError: Where a run is neither among the results nor published.
        StoreError: Where the manifest of a run is damaged.
    """
    rows = []
    for _, spec in sweep.plan(PROFILE, SWEEP):
        folder = graph.explainer(spec).folder
        if not (found := records.find(folder)):
            raise records.PublishError(records.why_not(folder))
        norm = folders.read_manifest(found, records.RECORD)["update_norm"]
        rows.append({"rank": spec.rank, "m0_seed": spec.m0_seed, "norm": norm})
    return pd.DataFrame(rows)


def factors(found: pd.DataFrame, reference: int) -> pd.Series:
    """Return for each rank the factor on its rate at which it moves the weights as far as the reference.

    Args:
        found: What `norms` returns.
        reference: The rank whose steps the others are to match.

    Returns:
        float64 by rank: the geometric mean over M0s of the reference's norm over the rank's norm.
    """
    wide = found.pivot(index="m0_seed", columns="rank", values="norm")
    return wide.rdiv(wide[reference], axis=0).agg("prod") ** (1 / len(wide))


def main() -> None:
    """Print the norms, and by how much the learning rate of each rank changes to match rank 32."""
    found = norms()
    print(found.pivot(index="rank", columns="m0_seed", values="norm").to_string(float_format="{:.4f}".format))
    print(factors(found, 32).to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
