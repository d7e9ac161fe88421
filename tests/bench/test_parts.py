import pytest
from coupling.bench import parts
from coupling.bench.cases import CASES


def chosen(asked):
    return [part.name for part in parts.selected(asked, CASES)]


def test_a_list_selects_measures_and_models():
    assert chosen("train,small") == ["train-tiny"]
    assert chosen(" small, Train,eval ") == ["train-tiny", "eval-tiny"]
    assert chosen("memory,SmolLM2,Qwen") == ["memory-SmolLM2-135M", "memory-Qwen2.5-Coder-1.5B"]
    assert chosen("train") == ["train-tiny", "train-SmolLM2-135M", "train-Qwen2.5-Coder-1.5B"]
    assert chosen("tiny") == ["memory-tiny", "train-tiny", "eval-tiny", "decoding-tiny", "workers-tiny"]
    assert chosen("growth") == ["growth-SmolLM2-135M"]
    assert chosen("attention,train,qwen") == ["train-Qwen2.5-Coder-1.5B", "attention"]


def test_nothing_selects_every_part_once():
    every = chosen("")
    assert len(every) == len(set(every)) == 4 * len(CASES) + 3
    assert {part.measure for part in parts.parts(CASES)} == set(parts.MEASURES)


def test_an_unknown_part_is_named_with_all_that_there_are():
    with pytest.raises(
        parts.BenchError, match=r"no part 'trian': measures are memory, train, .*; models are small,"
    ):
        parts.selected("trian,small", CASES)
    with pytest.raises(parts.BenchError, match="measures growth on SmolLM2 alone, not on 'growth,small'"):
        parts.selected("growth,small", CASES)
