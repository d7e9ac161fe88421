"""`make bench`: the engine against two references, side by side in one run.

Only the ratio of two ways matters, since machines differ. So each row of the tables names its machine.

The plain reference is the fastest plain setting: peft as it comes on a float32 base, three padded passes an
item, in float32 or under bfloat16 autocast, whichever trains faster on this machine. It evaluates by
`generate` of transformers with the adapter unmerged. The other reference is the way of the method's public
ancestor (bench/ancestor.py). The engine computes in the same precision, beside the ancestor without the KL
term.

All that is timed runs in processes that keep the memory that they free (`timing.keep_freed_memory`). That
makes the references faster and hardly changes the engine. Peak memory is measured without it.

Before anything is timed, a reference and the engine must give the same loss, the same behaviours and the same
texts in float32. `main` measures in parts (bench/parts.py) and writes the tables figures/data/bench*.parquet.
"""

from coupling.bench.tables import main

__all__ = ["main"]
