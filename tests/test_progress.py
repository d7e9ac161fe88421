from itertools import pairwise

from coupling import progress as progressing
from coupling.progress import Line, progress, quiet


def test_a_batch_sees_no_bar_and_a_terminal_does(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("COUPLING_QUIET", raising=False)
    assert not quiet()
    progress(3, "training", 1).close()
    assert "training" in capsys.readouterr().err
    monkeypatch.setenv("COUPLING_QUIET", "1")
    progress(3, "training", 1).close()
    assert capsys.readouterr().err == ""


def test_a_line_is_drawn_in_place_on_a_terminal_and_taken_away_at_the_end(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("COUPLING_QUIET", raising=False)
    line = Line()
    for text in ("1 of 2 made", "2 of 2 made"):
        line.show(text, 0.5)
    said = capsys.readouterr().err
    assert "1 of 2 made" in said
    assert "2 of 2 made" in said
    assert "\n" not in said
    line.close()
    last = capsys.readouterr().err.rsplit("\r", 2)
    assert not "".join(last[1:]).strip()


def test_where_nobody_watches_a_line_is_printed_now_and_then(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progressing.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("COUPLING_QUIET", "1")
    line, shown = Line(), []
    for second in range(3601):
        now[0] = float(second)
        line.show(f"{second}")
    line.close()
    shown = [int(text) for text in capsys.readouterr().err.split()]
    assert shown[:3] == [30, 60, 90]
    assert 10 < len(shown) < 40
    pauses = [later - sooner for sooner, later in pairwise(shown)]
    assert pauses == sorted(pauses)
