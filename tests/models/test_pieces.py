"""Files in pieces: cut, carried and joined by their hashes."""

import hashlib

import pytest
from coupling.models import packages, pieces
from coupling.models.packages import FetchError, Package
from coupling.report import overview
from coupling.spec import SpecError

DATA = bytes(range(256)) * 40
NAME = "toy"


@pytest.fixture
def carried(tmp_path, monkeypatch):
    """The pieces of a packaged file in the user's data folder. A download would be an error."""
    package = Package((("a", ""),), hashlib.sha256(DATA).hexdigest(), "none", is_model=False)
    monkeypatch.setitem(packages.PACKAGES, NAME, package)
    monkeypatch.setenv("COUPLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COUPLING_DATA", str(tmp_path / "data"))
    whole = tmp_path / "cache" / "data" / f"{NAME}-{package.sha256[:12]}"
    whole.parent.mkdir(parents=True)
    whole.write_bytes(DATA)
    made = packages.split(NAME, 3000, tmp_path / "data")
    whole.unlink()
    monkeypatch.setattr(packages, "download_wheel", lambda *_: pytest.fail("no download is needed"))
    return made


def test_a_package_is_joined_from_its_pieces(carried):
    assert [path.stat().st_size for path in carried] == [3000, 3000, 3000, 1240]
    assert packages.is_here(NAME)
    assert packages.fetch(NAME).read_bytes() == DATA
    assert packages.fetch(NAME).parent == carried[0].parent


def test_missing_pieces_are_named(carried):
    carried[1].unlink()
    carried[3].unlink()
    with pytest.raises(FetchError, match=r"2 of 4 pieces of toy-.*: carry the others there, 002, 004"):
        packages.is_here(NAME)


def test_a_damaged_piece_is_named_and_nothing_is_left(carried):
    carried[2].write_bytes(b"?" * 3000)
    with pytest.raises(FetchError, match=r"003-of-004\.\w+ is damaged"):
        packages.fetch(NAME)
    assert sorted(carried[0].parent.iterdir()) == sorted(carried)


def test_pieces_of_another_file_are_refused(carried, tmp_path):
    for path in carried:
        path.unlink()
    (tmp_path / "other").write_bytes(b"other")
    pieces.split(tmp_path / "other", carried[0].name.split(".")[0], 3, tmp_path / "data")
    with pytest.raises(FetchError, match="not the declared"):
        packages.fetch(NAME)


def test_pieces_of_two_splits_are_refused(carried, tmp_path):
    (tmp_path / "other").write_bytes(DATA[:9000])
    pieces.split(tmp_path / "other", carried[0].name.split(".")[0], 3000, tmp_path / "data")
    with pytest.raises(FetchError, match="of two splits"):
        packages.is_here(NAME)


@pytest.mark.parametrize(
    ("names", "size", "says"),
    [([], "5MB", "name the packages"), (["toyy"], "5MB", "unknown package"), ([NAME], "5", "give a number")],
)
def test_what_cannot_be_split_is_refused(carried, tmp_path, names, size, says):
    with pytest.raises(SpecError, match=says):
        overview.split(names, size, tmp_path / "pieces")


def test_too_small_pieces_are_refused(carried):
    with pytest.raises(FetchError, match="give 1 to 999 pieces"):
        pieces.split(carried[0], "x", 1, carried[0].parent)
