"""`make bench`: the engine against a plain reference, side by side in one run.

Only the ratio of the two matters, since machines differ.

The reference is the fastest plain setting: peft as it comes on a float32 base, three padded passes an item,
in float32 or under bfloat16 autocast, whichever trains faster on this machine. It evaluates by `generate` of
transformers with the adapter unmerged. The engine computes in the same precision.

Before anything is timed, both must give the same loss, the same behaviours and the same texts in float32.
`main` writes the tables figures/data/bench.parquet and bench_scaling.parquet.
"""

from coupling.bench.tables import main

__all__ = ["main"]
