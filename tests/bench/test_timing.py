import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from coupling.bench import timing
from coupling.runs import Models
from made_case import CASE


def test_the_reference_takes_the_faster_of_two_precisions(monkeypatch):
    took = iter([3.0, 3.0, 9.0, 2.0, 2.0, 1.0])  # float32 first, three times each

    def instead(work):
        work()
        return next(took)

    monkeypatch.setattr(timing, "seconds", instead)
    assert timing.fastest_precision(CASE, Models()) == "bfloat16"


def test_training_has_a_row_for_each_measure_and_reference_and_a_point_of_the_models():
    found = timing.training(CASE, "float32", Models(), size=64)
    rows = pd.DataFrame(found["bench"])
    both = [("train_throughput", "plain"), ("train_throughput", "ancestor"), ("gemm_share", "plain")]
    assert list(zip(rows["measure"], rows["against"], strict=True)) == both
    assert np.allclose(rows["ratio"], rows["engine"] / rows["reference"])
    assert (rows[["reference", "engine"]] > 0).all(axis=None)
    (point,) = found["bench_scaling"]
    assert point["value"] == pytest.approx(1e6, rel=0.5)  # weights of the model, without the adapter
    assert point["engine"] == pytest.approx(1 / rows["engine"][0])
    assert point["unit"] == "s/item, float32"


def test_evaluation_has_a_row_for_each_reference():
    rows = pd.DataFrame(timing.evaluation(CASE, "float32", Models())["bench"])
    assert list(rows["against"]) == ["plain", "ancestor"]
    assert rows["engine"].nunique() == 1
    assert np.allclose(rows["ratio"], rows["engine"] / rows["reference"])


@pytest.mark.parametrize("measure", ["training", "evaluation"])
def test_nothing_is_timed_before_the_check(monkeypatch, measure):
    def differs(pair, count):
        raise AssertionError("the paths differ")

    monkeypatch.setattr(timing, f"check_{measure}", differs)
    with pytest.raises(AssertionError, match="the paths differ"):
        getattr(timing, measure)(CASE, "float32", Models())


def test_paths_alternate_in_blocks_until_all_steps_are_made(monkeypatch):
    made = []
    monkeypatch.setattr(timing, "BLOCK", 2)
    times = timing.alternating(
        "ab", lambda path, k: made.append(f"{path}{k}"), 3, lambda path: made.append(f"to {path}")
    )
    assert made == ["to a", "a0", "a1", "to b", "b0", "b1", "to a", "a2", "to b", "b2"]
    assert {path: len(found) for path, found in times.items()} == {"a": 3, "b": 3}


def test_on_a_slow_machine_every_path_still_has_a_turn(monkeypatch):
    made = []
    monkeypatch.setattr(timing, "TURN", 0)
    monkeypatch.setattr(timing, "SECONDS", 0)
    timing.alternating("ab", lambda path, k: made.append(f"{path}{k}"), 9)
    assert made == ["a0", "b0"]


def test_the_peak_is_tried_in_bfloat16_only_where_the_machine_multiplies_it(monkeypatch):
    tried = []
    true = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: tried.append(a.dtype) or true(a, b))
    for multiplies in (False, True):
        monkeypatch.setattr(timing, "multiplies_halves", lambda multiplies=multiplies: multiplies)
        assert timing.peak_rate(torch.device("cpu"), 8) > 0
    assert tried == [torch.float32] * 8 + [torch.bfloat16] * 4


FAULTS = """
import resource, torch
from coupling.bench import timing
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in range(20):
        torch.ones(10_000_000 + size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = faults()
timing.keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is one of glibc")
def test_freed_memory_is_kept_and_not_paid_for_again():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, kept = map(int, done.stdout.split())
    assert before > 1000
    assert kept < before / 10
