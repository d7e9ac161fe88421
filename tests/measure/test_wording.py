"""Labels and explanations in words: written and read back, without torch."""

import subprocess
import sys

import pytest
from coupling.measure.wording import Statement, parse, render_label


@pytest.mark.parametrize("label_format", ["letter", "content"])
def test_parse_is_the_inverse_of_render(items, label_format):
    item = items[1][0]
    for changes in (False, True):
        for answer in range(4):
            stated = Statement(changes, answer)
            assert parse(item, render_label(item, stated, label_format), label_format) == stated


@pytest.mark.parametrize(
    "text",
    ["", "stays at", "stays at E", "Stays at A", "changes to A.", "it changes to A", "changes at A", "A"],
)
def test_parse_never_guesses(items, text):
    assert parse(items[1][0], text, "letter") is None


def test_the_words_need_no_torch():
    code = "import sys; from coupling.measure import wording; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
