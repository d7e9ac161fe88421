import dataclasses

from coupling.bench import growth
from coupling.bench.cases import prepared
from coupling.runs import Models
from made_case import CASE


def test_a_point_is_seconds_an_item():
    found = growth.point(CASE, "rank", 4, *prepared(CASE, Models()), 3)
    assert found["reference"] > 0 < found["engine"]
    assert found["tokens"] < 35
    assert (found["axis"], found["value"], found["unit"]) == ("rank", 4.0, "s/item, float32")


def test_every_axis_grows(monkeypatch):
    monkeypatch.setattr(growth, "STEPS", [1, 2])
    monkeypatch.setattr(growth, "FIELDS", {"rank": ("rank", [2, 4])})
    case = dataclasses.replace(CASE, values=CASE.values | {"rank": 3})
    rows = growth.scaling(case, "float32", Models())
    assert [(r["axis"], r["value"]) for r in rows] == [("items", 1), ("items", 2), ("rank", 2), ("rank", 4)]
