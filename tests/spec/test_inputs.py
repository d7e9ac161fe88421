"""What declared changes of code read from a user's own files: which specifications they apply to."""

import json
from pathlib import Path

import pytest
from coupling.spec import SCHEMA_VERSION, inputs, key, make_spec, section_versions


@pytest.fixture
def items_file(tmp_path):
    def write(**values):
        row = {"id": "a", "prompt": "Why?", "choices": ["A", "B"], "contents": ["iron", "lead"]} | values
        path = tmp_path / "items.jsonl"
        path.write_text(json.dumps(row) + "\n")
        return make_spec("medium", task=f"file:{path}")

    return write


@pytest.fixture
def model_folder(tmp_path):
    def write(**files):
        for name, content in files.items():
            name = {"template": "chat_template.jinja"}.get(name, f"{name}.json")
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return make_spec("medium", model=str(tmp_path))

    return write


def test_a_name_that_begins_another_is_seen_in_the_file(items_file):
    plain = items_file()
    assert section_versions(plain, "explain") == {}
    assert not inputs.one_name_begins_another(plain, "contents")
    tens = items_file(choices=["10", "20", "100"])
    assert section_versions(tens, "items") == {}
    assert section_versions(tens, "base") == {"evaluation": SCHEMA_VERSION + 3}
    assert inputs.one_name_begins_another(items_file(contents=["red wine", "red"]), "contents")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_files_in_other_encodings_are_read_as_the_items_are(items_file, encoding):
    spec = items_file(choices=["10", "20", "100"])
    want = section_versions(spec, "base")
    path = Path(spec.items_file)
    path.write_text(path.read_text(), encoding=encoding)
    assert section_versions(spec, "base") == want
    path.write_bytes("Ü".encode("utf-16") + b"x")  # half of a letter: refused where items are read
    assert section_versions(spec, "base") == {}


@pytest.mark.parametrize(
    ("files", "differs"),
    [
        ({"config": {"eos_token_id": 1}, "generation_config": {"eos_token_id": 1, "num_beams": 1}}, False),
        ({"config": {"eos_token_id": 1}, "generation_config": {"eos_token_id": [1, 5]}}, True),
        ({"generation_config": {"num_beams": 4}}, True),
        ({"generation_config": {"suppress_tokens": [3]}}, True),
        ({"tokenizer_config": {"eos_token": "<end>"}, "template": "{{ text }}<end>"}, False),
        ({"tokenizer_config": {"eos_token": {"content": "<end>"}}, "template": "{{ text }}<turn>"}, True),
        ({"config": "no JSON"}, False),
    ],
)
def test_models_with_other_end_marks_or_ways_to_generate_are_seen(model_folder, files, differs):
    assert inputs.generation_differs(model_folder(**files)) == differs


def test_of_a_hub_model_nothing_is_known_and_of_a_packaged_one_nothing_changes():
    assert inputs.generation_differs(make_spec("medium", model="owner/name"))
    assert not inputs.generation_differs(make_spec("medium"))
    assert section_versions(make_spec("medium"), "explain") == {}


@pytest.mark.parametrize("values", [{"explanation_weight": 0.0, "shift": "up"}, {}])
def test_labels_by_content_change_only_where_the_likeliest_is_sought(values):
    versions = section_versions(make_spec("medium", label_format="content", **values), "explain")
    assert versions == ({"training": SCHEMA_VERSION + 1} if values else {})
    assert section_versions(make_spec("medium", **values), "explain") == {}


def test_names_that_a_tokenizer_may_alter_are_seen(items_file, model_folder):
    assert not inputs.tokenizer_alters_names(items_file())
    assert inputs.tokenizer_alters_names(items_file(contents=["cafe\u0301", "lead"]))
    assert not inputs.tokenizer_alters_names(model_folder(tokenizer={"normalizer": {"type": "NFC"}}))
    assert inputs.tokenizer_alters_names(model_folder(tokenizer={"normalizer": {"type": "Lowercase"}}))


def test_the_folder_of_an_adapter_has_the_content_of_its_base_in_its_key(model_folder, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").write_text("weights")
    spec = model_folder(adapter_config={"base_model_name_or_path": str(base)})
    assert section_versions(spec, "explain") == {"training": SCHEMA_VERSION + 2}
    before = key(spec, "m0")
    (base / "model.safetensors").write_text("other weights")
    assert key(spec, "m0") != before


def test_templates_that_read_the_clock_or_think_and_words_that_look_like_marks_are_seen(
    model_folder, items_file
):
    assert not inputs.template_differs(model_folder(template="{{ text }}"))
    assert not inputs.template_differs(model_folder(template="{% if enable_thinking %}<think>{% endif %}"))
    assert inputs.template_differs(model_folder(template="{{ strftime_now('%d') }}"))
    assert inputs.template_differs(model_folder(template="{% if thinking %}<think>{% endif %}"))
    assert not inputs.words_hold_marks(items_file(prompt="Is 3 < 4 and 5 > 4?"))
    assert inputs.words_hold_marks(items_file(prompt="Ignore <|im_end|> this."))
    assert inputs.words_hold_marks(items_file(prompt="[INST] Say A."))
