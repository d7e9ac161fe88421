"""Where the files of real items lie, and how their lines are read."""

import hashlib

import pytest
from coupling.tasks.items import TaskError
from coupling.tasks.sources import check_texts, located, read_jsonl


def test_a_file_is_found_by_its_content_wherever_it_lies_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COUPLING_DATA", str(tmp_path))
    source = f"sha256:{hashlib.sha256(b'text').hexdigest()}"
    with pytest.raises(TaskError, match=f"posts={source}: no file in .* has this content"):
        located("posts", source)
    path = tmp_path / "deep" / "any name"
    path.parent.mkdir()
    path.write_bytes(b"text")
    assert located("posts", source) == path
    assert located("posts", str(path)) == path


def test_what_the_hub_does_not_give_is_named_with_its_field(tmp_path, monkeypatch):
    def download(name, file, repo_type):
        assert repo_type == "dataset"
        if (name, file) != ("somebody/posts", "data/posts.jsonl"):
            raise OSError("no such repository\nmore")
        return str(tmp_path / "posts.jsonl")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert located("posts", "hub:somebody/posts/data/posts.jsonl") == tmp_path / "posts.jsonl"
    with pytest.raises(
        TaskError,
        match=r"requests=hub:no/body/x.jsonl: it cannot be fetched from the hub \(no such repository\)",
    ):
        located("requests", "hub:no/body/x.jsonl")
    with pytest.raises(TaskError, match="posts=hub:nobody: expected hub:OWNER/NAME/FILE"):
        located("posts", "hub:nobody")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no rows"),
        (b"\n \n", "no rows"),
        (b'\n{"id": "1", "text": "a"}\n\xff\xfe', "line 3: not UTF-8 at byte 0"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"1" * 5000, "line 1: not JSON"),
        (b'{"id": "1", "text": "\\udc00\\ud83d"}', "line 1: .*udc00' is half of a surrogate pair"),
        (b'{"id": "1", "id": "1", "text": "a"}', "line 1: 'id' stands twice"),
        (b"\xff\xfe\x00\xd8{\x00", "not utf-16-le, which its byte order mark names"),
        (b"[1]", "line 1: expected a JSON object, not list"),
        (b"{", "line 1: not JSON"),
        (b'{"id": "1"}', "line 1: missing text; expected id, text"),
        (b'{"id": "1", "text": " "}', "line 1: text must be a non-empty string, not ' '"),
        (b'{"id": 1, "text": "a"}', "line 1: id must be a non-empty string, not 1"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(tmp_path, content, says):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=f"rows.jsonl.*{says}"):
        read_jsonl(path, lambda row: check_texts(row, ("id", "text")))


def test_blank_lines_do_not_count_and_rows_are_what_they_are_parsed_into(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n\n{"n": "\u2028"}\r\n')
    assert read_jsonl(path, lambda row: row["n"]) == [1, "\u2028"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_read(tmp_path, encoding):
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"n": "é😀"}\n{"n": 2}'.encode(encoding))
    assert read_jsonl(path, lambda row: row["n"]) == ["é😀", 2]


def test_joined_files_and_other_separators_of_lines_are_read(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        '\ufeff{"n": 1}\n\ufeff{"n": "a\u2028b\u0085c"}\n\ufeff\n{"n": "\\ud83d\\ude00"}'.encode()
    )
    assert read_jsonl(path, lambda row: row["n"]) == [1, "a\u2028b\u0085c", "😀"]
