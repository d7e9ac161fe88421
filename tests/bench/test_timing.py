import numpy as np
import pandas as pd
import pytest
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


def test_throughputs_are_one_row_a_measure():
    rows = pd.DataFrame(timing.throughputs(CASE, "float32", Models(), size=64))
    assert sorted(rows["measure"]) == ["eval_throughput", "gemm_share", "train_throughput"]
    assert np.allclose(rows["ratio"], rows["engine"] / rows["reference"])
    assert (rows[["reference", "engine"]] > 0).all(axis=None)


def test_nothing_is_timed_before_the_check(monkeypatch):
    def differs(pair, count):
        raise AssertionError("the paths differ")

    monkeypatch.setattr(timing, "check", differs)
    with pytest.raises(AssertionError, match="the paths differ"):
        timing.throughputs(CASE, "float32", Models(), size=64)
