import pytest
from coupling.bench import growth
from coupling.bench.cases import prepared
from coupling.bench.timing import row
from coupling.runs import Models
from made_case import CASE


def test_a_point_is_seconds_an_item():
    found = growth.point(CASE, "rank", 4, *prepared(CASE, Models()), 3)
    assert found["reference"] > 0 < found["engine"]
    assert found["tokens"] < 35
    assert (found["axis"], found["value"], found["unit"]) == ("rank", 4.0, "s/item, float32")


def test_points_over_models_are_their_throughputs_turned_over():
    measured = [
        row("train_throughput", "tiny", 2.0, 8.0, "items/s, bfloat16"),
        row("peak_memory", "tiny", 2.0, 1.0, "GB"),
    ]
    (found,) = growth.over_models(measured, {"tiny": CASE}, Models())
    assert (found["reference"], found["engine"], found["unit"]) == (0.5, 0.125, "s/item, bfloat16")
    assert found["value"] == pytest.approx(1e6, rel=0.5)
