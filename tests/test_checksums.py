"""Checksums of files: remembered, and never of an older content."""

import os

from coupling import checksums


def test_a_checksum_that_is_kept_is_computed_again_where_the_file_changed(tmp_path, monkeypatch):
    path, asked = tmp_path / "a", []
    kept = checksums.sha256
    monkeypatch.setattr(checksums, "sha256", lambda path: asked.append(path) or kept(path))
    path.write_bytes(b"a")
    found = checksums.sha256_once(path)
    status = path.stat()
    path.write_bytes(b"b")  # at once, so that a coarse clock shows the same time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert checksums.sha256_once(path) != found
    os.utime(path, (0, 0))  # long ago
    assert checksums.sha256_once(path) == checksums.sha256_once(path) == kept(path)
    assert len(asked) == 3
    path.write_bytes(b"cc")
    assert checksums.sha256_once(path) == kept(path)
