from coupling.progress import progress, quiet


def test_a_batch_sees_no_bar_and_a_terminal_does(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("COUPLING_QUIET", raising=False)
    assert not quiet()
    progress(3, "training", 1).close()
    assert "training" in capsys.readouterr().err
    monkeypatch.setenv("COUPLING_QUIET", "1")
    progress(3, "training", 1).close()
    assert capsys.readouterr().err == ""
