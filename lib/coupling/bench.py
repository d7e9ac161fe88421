"""`make bench`: reference and engine side by side in one run, alternating, so that only their ratio matters.

The reference is the fastest plain setting: peft as it comes on a float32 base, three padded passes an item, in float32
or under bfloat16 autocast, whichever trains faster on this machine; evaluation by transformers' `generate`, the adapter
unmerged. The engine runs in the same precision. Before anything is timed, both must give the same loss, the same
behaviours and the same texts in float32. Writes figures/data/bench.parquet, one row for each measure and model, and
bench_scaling.parquet; a measurement that takes long is kept on its own and not taken again until it is cleared.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from coupling import files, runs
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import WORDINGS, generate, labels
from coupling.models import Loaded, adapted
from coupling.models.adapter import accelerate, peft_forward
from coupling.models.load import halve
from coupling.models.memory import machine_megabytes, peak_memory_gb
from coupling.models.organism import make_model, make_tokenizer
from coupling.runs import folders
from coupling.spec import ORGANISMS, Spec, make_spec
from coupling.tasks import Item, vocabulary
from coupling.training import passes
from coupling.training.checkpoints import trainable
from coupling.training.data import TrainingSet, training_set
from coupling.training.loop import add_gradients
from coupling.training.loss import behaviour_kl, explanation_loss
from coupling.training.passes import size, tokens_in_memory

# What is timed for each model: spec values; items; items a training step, and a pass of the plain reference (the 1.5B
# model's three plain passes of more than two items do not fit 16 GB); items an evaluation batch.
CASES: dict[str, dict] = {
    "tiny": {
        "profile": "tiny",
        "values": {"threads": 2},
        "items": 512,
        "step": 32,
        "plain": 32,
        "batch": 256,
    },
    "SmolLM2-135M": {
        "profile": "medium",
        "values": {"model": "SmolLM2-135M-Instruct", "max_words": 40, "rank": 32, "memory_gb": 16},
        "items": 256,
        "step": 16,
        "plain": 16,
        "batch": 32,
    },
    "Qwen2.5-Coder-1.5B": {
        "profile": "medium",
        "values": {},
        "items": 16,
        "step": 8,
        "plain": 2,
        "batch": 16,
    },
}
SCALING = "SmolLM2-135M"
BLOCK = 4  # steps or batches of one path in a row
PEAK_SIZE = 2048  # of the square products that measure the machine's peak


@dataclasses.dataclass
class Bench:
    """One model with a fresh adapter, its items, and how both paths train and evaluate on them."""

    spec: Spec
    tuned: Loaded
    items: list[Item]
    data: TrainingSet
    step: int
    plain: int
    tokens: int = 0  # that a pass of the engine may hold, once it is known

    def __post_init__(self) -> None:
        self.sizes = [size(s) for s in self.data.seams]
        self.plainly = dataclasses.replace(self.tuned, packs=False)
        self.optimizer = torch.optim.AdamW(
            [p for _, p in trainable(self.tuned.model)], lr=1e-4, weight_decay=0.0
        )

    def in_precision(self, dtype: torch.dtype) -> None:
        """Let both paths compute in this precision."""
        self.tuned.dtype = self.plainly.dtype = dtype

    def train(self, which: str, first: int, n: int | None = None) -> float:
        """One optimiser step on items from `first` on, by the "reference" or the "engine"; returns its loss."""
        loss = self.gradients(which, [(first + i) % len(self.items) for i in range(n or self.step)])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def gradients(self, which: str, chosen: list[int]) -> float:
        """Add the gradients of cross-entropy + KL of these items to the adapter's; returns the loss."""
        (peft_forward if which == "reference" else accelerate)(self.tuned.model)
        if which == "engine":
            self.tokens = self.tokens or tokens_in_memory(self.spec, self.tuned, self.data, self.sizes)
            parts = passes([self.sizes[i] for i in chosen], self.tokens)
            return add_gradients(self.spec, self.tuned, self.data, chosen, parts)["loss"]
        total = 0.0
        for start in range(0, len(chosen), self.plain):
            part = chosen[start : start + self.plain]
            terms = (  # one graph at a time, so that they never hold memory together
                lambda part=part: explanation_loss(self.plainly, [self.data.seams[i][2] for i in part]),
                lambda part=part: behaviour_kl(self.plainly, self.data, part),
            )
            for term in terms:
                loss = term() * (len(part) / len(chosen))
                loss.backward()
                total += loss.item()
        return total

    def evaluate(self, which: str, items: list[Item]) -> tuple[Behaviours, list[str]]:
        """Behaviours and explanations of items in one batch."""
        if which == "engine":
            accelerate(self.tuned.model)
            return evaluate(self.tuned, items, "letter", len(items))[:2]
        peft_forward(self.tuned.model)
        return behaviours(self.plainly, items, len(items)), generate(
            self.plainly, items, "letter", len(items)
        )

    def counted(self, first: int) -> float:
        """Operations of a training step that both are credited with: forward and input gradients of its packed tokens.

        2 a weight and token each way, in the linear layers for all tokens and in the output head for those that are
        predicted from; nothing for attention, the adapter, or weight gradients of frozen layers.
        """
        base = self.tuned.model.get_base_model()
        head = base.get_output_embeddings().weight.numel()
        inner = sum(
            m.weight.numel()
            for n, m in base.named_modules()
            if isinstance(m, torch.nn.Linear) and n.endswith("base_layer")
        )
        chosen = [(first + i) % len(self.items) for i in range(self.step)]
        tokens = sum(self.sizes[i] for i in chosen)
        predicted = sum(2 + len(self.data.seams[i][2].tails[0]) for i in chosen)
        return 4.0 * (inner * tokens + head * predicted)


def prepared(name: str, **values) -> tuple[Spec, Loaded, list[Item]]:
    """Spec, M0 and items of a case. The tiny one is not trained: its speed does not depend on what it knows."""
    case = CASES[name]
    spec = make_spec(case["profile"], **({"train_items": case["items"]} | case["values"] | values))
    items, _ = runs.items_of(spec)
    torch.set_num_threads(spec.threads)
    if spec.model not in ORGANISMS:
        m0 = runs.load_m0(
            spec.model_copy(update={"dtype": "float32"})
        )  # the reference's base; the precision is chosen later
        m0.dtype = getattr(torch, spec.dtype)
        return spec, m0, items
    tokenizer = make_tokenizer([*WORDINGS, *vocabulary(spec)])
    return (
        spec,
        Loaded(
            make_model(spec.model, len(tokenizer), 0).eval().requires_grad_(False), tokenizer, torch.float32
        ),
        items,
    )


def bench_on(name: str, spec: Spec, m0: Loaded, tuned: Loaded, items: list[Item]) -> Bench:
    """The bench of an adapted model, with uniform distributions for M0's: what they are does not matter to speed."""
    uniform = np.full((2, len(items), len(items[0].choices)), -np.log(len(items[0].choices)), np.float32)
    b0 = Behaviours(tuple(i.id for i in items), *uniform)
    texts = [
        labels([i], Behaviours((i.id,), *np.random.default_rng(k).normal(size=(2, 1, 4))), "letter")[0]
        for k, i in enumerate(items)
    ]
    return Bench(
        spec, tuned, items, training_set(m0, items, b0, texts, {}), CASES[name]["step"], CASES[name]["plain"]
    )


def check(bench: Bench, n: int) -> None:
    """Raise AssertionError unless, in float32, both paths give the same loss, behaviours and texts on the first n items."""
    dtype = bench.tuned.dtype
    bench.in_precision(torch.float32)
    found = {}
    for which in ("reference", "engine"):
        found[which] = (
            bench.gradients(which, list(range(min(n, bench.step)))),
            *bench.evaluate(which, bench.items[:n]),
        )
        bench.optimizer.zero_grad(set_to_none=True)
    (loss_a, b_a, said_a), (loss_b, b_b, said_b) = found.values()
    assert abs(loss_a - loss_b) < 1e-4, f"losses differ in float32: {loss_a} and {loss_b}"
    assert max(np.abs(b_a.x - b_b.x).max(), np.abs(b_a.cf - b_b.cf).max()) < 1e-2, (
        "behaviours differ in float32"
    )
    assert all((b_a.choice(c) == b_b.choice(c)).all() for c in ("x", "cf")), "choices differ in float32"
    assert said_a == said_b, "texts differ in float32"
    bench.in_precision(dtype)


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_rate(dtype: torch.dtype) -> float:
    """Operations a second of a product of square matrices, the median of three."""
    a, b = (
        torch.randn(PEAK_SIZE, PEAK_SIZE, generator=torch.Generator().manual_seed(i)).to(dtype)
        for i in (0, 1)
    )
    a @ b
    return 2 * PEAK_SIZE**3 / statistics.median(seconds(lambda: a @ b) for _ in range(3))


def fastest_precision(name: str) -> str:
    """The precision in which the reference trains a case fastest on this machine: "float32" or "bfloat16"."""
    spec, m0, items = prepared(name)
    trial = {}
    with adapted(m0, spec) as tuned:
        bench = bench_on(name, spec, m0, tuned, items)
        for precision in ("float32", "bfloat16"):
            bench.in_precision(getattr(torch, precision))
            bench.train("reference", 0, 1)  # the first call pays for what is set up once
            trial[precision] = statistics.median(
                seconds(lambda: bench.train("reference", 0, min(4, bench.plain))) for _ in range(3)
            )
    return min(trial, key=trial.get)


def throughputs(name: str, precision: str) -> list[dict]:
    """train_throughput, gemm_share and eval_throughput of a case: medians over its steps and batches."""
    case = CASES[name]
    spec, m0, items = prepared(name)
    with adapted(m0, spec) as tuned:
        bench = bench_on(name, spec, m0, tuned, items)
        for first in range(
            0, min(len(items), 4 * case["step"]), case["step"]
        ):  # away from zero, so that the check says something
            bench.train("engine", first)
        check(bench, min(16, case["batch"]))
        bench.in_precision(getattr(torch, precision))
        for which in ("reference", "engine"):
            bench.train(which, 0, 1)
            bench.evaluate(which, items[:1])
        times = {m: {"reference": [], "engine": []} for m in ("train", "evaluate")}
        peaks, share = [], {"reference": [], "engine": []}
        # several steps of one path, then the same of the other: whoever comes first after a change pays for memory anew
        for start in range(0, len(items), BLOCK * case["step"]):
            peaks.append(max(peak_rate(torch.float32), peak_rate(torch.bfloat16)))
            for which in ("reference", "engine"):
                for first in range(start, min(start + BLOCK * case["step"], len(items)), case["step"]):
                    times["train"][which].append(
                        seconds(lambda which=which, first=first: bench.train(which, first))
                    )
                    share[which].append(bench.counted(first) / times["train"][which][-1] / peaks[-1])
        for start in range(0, len(items), BLOCK * case["batch"]):
            for which in ("reference", "engine"):
                for first in range(start, min(start + BLOCK * case["batch"], len(items)), case["batch"]):
                    part = items[first : first + case["batch"]]
                    times["evaluate"][which].append(
                        seconds(lambda which=which, part=part: bench.evaluate(which, part))
                    )
    rows = [
        _row(
            measure,
            name,
            *(n / statistics.median(times[kind][w]) for w in ("reference", "engine")),
            f"items/s, {precision}",
        )
        for measure, kind, n in (
            ("train_throughput", "train", case["step"]),
            ("eval_throughput", "evaluate", min(case["batch"], len(items))),
        )
    ]
    peak = f"share of the peak of {PEAK_SIZE}² products, {statistics.median(peaks) / 1e9:.0f} GFLOP/s"
    return [
        *rows,
        _row("gemm_share", name, *(statistics.median(share[w]) for w in ("reference", "engine")), peak),
    ]


def _row(measure: str, model: str, reference: float, engine: float, unit: str) -> dict:
    return {
        "measure": measure,
        "model": model,
        "reference": reference,
        "engine": engine,
        "ratio": engine / reference,
        "unit": unit,
    }


def memory(name: str, which: str, precision: str) -> float:
    """Peak resident memory in 10^9 bytes of a training step, its optimiser included, and one evaluation, in a process of their own."""
    code = f"from coupling import bench; print(bench.memory_here({name!r}, {which!r}, {precision!r}))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the memory of {which} on {name} could not be measured: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])


def memory_here(name: str, which: str, precision: str) -> float:
    """`memory`, in this process."""
    spec, m0, items = prepared(name)
    m0.dtype = getattr(torch, precision)
    if which == "engine" and precision == "bfloat16":
        halve(m0.model)  # as it is loaded where no reference stands beside it
    with adapted(m0, spec) as tuned:
        bench = bench_on(name, spec, m0, tuned, items)
        bench.train(which, 0)
        bench.evaluate(which, items[: CASES[name]["batch"]])
        return peak_memory_gb()


def workers(steps: int = 60, repetitions: int = 3) -> dict:
    """worker_scaling of the tiny model: steps a second of two workers on two cores against one on one core."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    cores = sorted(os.sched_getaffinity(0))
    for _ in range(repetitions):
        for n in rates:
            rates[n].append(_rate(cores[:n], steps))
    one, two = (statistics.median(rates[n]) for n in (1, 2))
    return _row("worker_scaling", "tiny", one, two, "steps/s of 1 worker on 1 core, and of 2 on 2")


def _rate(cores: list[int], steps: int) -> float:
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                f"from coupling import bench; bench.worker({core}, {steps})",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for core in cores
    ]
    for process in started:
        process.stdout.readline()  # warmed up
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    took = [float(process.stdout.readline()) for process in started]
    for process in started:
        process.wait()
    return sum(steps / t for t in took)


def worker(core: int, steps: int) -> None:
    """Stay on one core, warm up, wait for a line of input, train for `steps` steps and print the seconds."""
    os.sched_setaffinity(0, {core})
    spec, m0, items = prepared("tiny", threads=1)
    with adapted(m0, spec) as tuned:
        bench = bench_on("tiny", spec, m0, tuned, items)
        bench.train("engine", 0)
        print("ready", flush=True)
        sys.stdin.readline()
        print(seconds(lambda: [bench.train("engine", i * bench.step) for i in range(steps)]), flush=True)


def scaling(measured: list[dict], precision: str) -> list[dict]:
    """Seconds an item of a training step, as the step's items, the prompt's length, the rank and the model grow.

    The last axis is taken from the throughputs that are `measured` already.
    """
    rows = []
    for row in measured:
        if row["measure"] == "train_throughput":
            weights = sum(p.numel() for p in prepared(row["model"], train_items=16)[1].model.parameters())
            unit = row["unit"].replace("items/s", "s/item")
            point = {
                "axis": "weights of the model",
                "value": float(weights),
                "model": row["model"],
                "tokens": None,
                "unit": unit,
            }
            rows.append(point | {which: 1 / row[which] for which in ("reference", "engine")})
    grids = [
        ("items", "step", [4, 8, 16, 32]),
        ("words of the longest prompt", "max_words", [20, 40, 80, 150]),
        ("rank", "rank", [4, 32, 128]),
    ]
    for axis, field, values in grids:
        for value in values:
            spec, m0, items = prepared(SCALING, train_items=32, **({} if field == "step" else {field: value}))
            m0.dtype = getattr(torch, precision)
            rows.append(_scaled(SCALING, axis, value, spec, m0, items, value if field == "step" else 8))
    return rows


def _scaled(name: str, axis: str, value: float, spec: Spec, m0: Loaded, items: list[Item], n: int) -> dict:
    with adapted(m0, spec) as tuned:
        bench = bench_on(name, spec, m0, tuned, items)
        each = {}
        for which in ("reference", "engine"):
            bench.train(which, 0, 1)
            each[which] = (
                statistics.median(seconds(lambda which=which: bench.train(which, 0, n)) for _ in range(2)) / n
            )
        tokens = statistics.mean(bench.sizes[:n])
    return {
        "axis": axis,
        "value": float(value),
        "model": name,
        "tokens": tokens,
        "unit": f"s/item, {str(m0.dtype).removeprefix('torch.')}",
    } | each


def main() -> None:
    """Take what is not there yet, part by part, and write the two tables."""
    parts = files.results_dir() / "bench"

    def kept(name: str, take: Callable[[], object]):
        path = parts / f"{name}.json"
        if not path.exists():
            print(f"bench: {name}", flush=True)
            files.write_json(path, take())
        return files.read_json(path)

    precision = {n: kept(f"precision-{n}", lambda n=n: fastest_precision(n)) for n in CASES}
    pair = ("reference", "engine")  # their memory first, while this process holds little itself
    rows = [
        kept(
            f"memory-{n}",
            lambda n=n: _row("peak_memory", n, *(memory(n, w, precision[n]) for w in pair), "GB"),
        )
        for n in CASES
    ]
    rows += [row for n in CASES for row in kept(f"throughputs-{n}", lambda n=n: throughputs(n, precision[n]))]
    grown = kept("scaling", lambda: scaling(rows, precision[SCALING]))
    rows.append(kept("workers", workers))
    where = files.tables_dir()
    order = ["train_throughput", "eval_throughput", "gemm_share", "peak_memory", "worker_scaling"]
    frame = pd.DataFrame(rows).sort_values("measure", key=lambda m: m.map(order.index), kind="stable")
    files.write_table(where / "bench.parquet", frame)
    files.write_table(where / "bench_scaling.parquet", pd.DataFrame(grown))
    files.write_json(where / "bench.json", folders.provenance() | {"memory_megabytes": machine_megabytes()})
    print(frame.to_string(index=False, float_format=lambda v: f"{v:.3g}"))
