"""Questions about a user's items file and model folder, on which it depends whether a change of code applies.

A change of code that alters the results of some inputs must move the keys of these inputs and of no others
(`Change.applies`). The functions here recognise such inputs by their files, without loading tokenizer or
weights. Where only tokenizer or weights could tell, the functions answer yes, so that no key stays by
mistake. Files of a model on the hub are not read. For such a model `generation_differs` and
`template_differs` answer yes, `tokenizer_alters_names` judges by the names of the choices alone, and
`is_adapter` answers no.
"""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coupling.tasks.items import TaskError
from coupling.tasks.sources import lines_of

if TYPE_CHECKING:
    from coupling.spec.spec import Spec

# Settings of generation that change a greedy text.
_STEERING = ("num_beams", "no_repeat_ngram_size", "suppress_tokens", "begin_suppress_tokens", "bad_words_ids")
# Normalisers of the package tokenizers that alter more than the way in which Unicode writes a letter.
_ALTERING = ("Lowercase", "BertNormalizer", "StripAccents", "Precompiled")
_MARK = re.compile(r"<[^<>\s]{1,40}>|\[/?[A-Z_]+\]")  # what looks like a mark of a chat


def one_name_begins_another(spec: Spec, field: str) -> bool:
    """Return whether an item of the user's file has a choice, or a content, that begins another one.

    Args:
        spec: The specification.
        field: The field of an item: "choices" or "contents".
    """
    for row in _rows(spec):
        names = row.get(field, row.get("choices"))
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            order = sorted(name.strip() for name in names)
            if any(b.startswith(a) for a, b in pairwise(order)):
                return True
    return False


def words_hold_marks(spec: Spec) -> bool:
    """Return whether words of the user's items file or of the system message look like marks of a chat."""
    texts = [str(row.get(name, "")) for row in _rows(spec) for name in ("prompt", "request")]
    return any(map(_MARK.search, [spec.system, *texts]))


def tokenizer_alters_names(spec: Spec) -> bool:
    """Return whether the names of choices may come back altered from the tokenizer.

    They do if it writes letters small or drops accents. Where names have letters that Unicode can write in
    two ways, most tokenizers choose one of the two.
    """
    names = [
        str(name) for row in _rows(spec) for key in ("choices", "contents") for name in _listed(row.get(key))
    ]
    altered = json.dumps(_json_of(spec, "tokenizer.json").get("normalizer"))
    return any(word in altered for word in _ALTERING) or any(
        unicodedata.normalize("NFKC", name) != name for name in names
    )


def generation_differs(spec: Spec) -> bool:
    """Return whether a model names several end marks, or generates in another way than greedily."""
    if _on_the_hub(spec):
        return True
    settings, config = (_json_of(spec, name) for name in ("generation_config.json", "config.json"))
    marks = [m for of in (settings, config) for m in _listed(of.get("eos_token_id"))]
    steered = any(settings.get(name) not in (None, 0, 1, []) for name in _STEERING)
    mark, template = _json_of(spec, "tokenizer_config.json").get("eos_token"), _template(spec)
    mark = mark.get("content") if isinstance(mark, dict) else mark
    ends_turns = not template or "eos_token" in template or (mark is not None and mark in template)
    return len(set(marks)) > 1 or steered or not ends_turns


def template_differs(spec: Spec) -> bool:
    """Return whether a model's chat template reads the clock or the variable `thinking`.

    Templates that read the variable `enable_thinking` alone do not count: they were always given a value.
    """
    template = _template(spec)
    return _on_the_hub(spec) or bool(re.search(r"\b(strftime_now|thinking)\b", template))


def is_adapter(spec: Spec) -> bool:
    """Return whether the model is the folder of an adapter."""
    return bool(adapter_base(Path(spec.model)))


def adapter_base(folder: Path) -> str:
    """Return the model that the adapter of a folder belongs to; empty where the folder holds no adapter."""
    return str(_json_in(folder, "adapter_config.json").get("base_model_name_or_path") or "")


def _on_the_hub(spec: Spec) -> bool:
    return "/" in spec.model and not Path(spec.model).is_dir()


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _json_of(spec: Spec, name: str) -> dict[str, Any]:
    """Return a JSON file of the model's folder; empty where there is none or where it cannot be read."""
    return _json_in(Path(spec.model), name)


def _json_in(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    try:
        found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _template(spec: Spec) -> str:
    path = Path(spec.model) / "chat_template.jinja"
    if path.is_file():
        return path.read_text("utf-8", errors="replace")
    return str(_json_of(spec, "tokenizer_config.json").get("chat_template") or "")


def _rows(spec: Spec) -> tuple[dict[str, Any], ...]:
    """Return the rows of the user's items file, without those that cannot be read."""
    path = Path(spec.items_file) if spec.items_file is not None else None
    if path is None or not path.is_file():
        return ()
    about = path.stat()
    return _read(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, size: int, mtime_ns: int) -> tuple[dict[str, Any], ...]:
    rows = []
    with suppress(TaskError):  # a file that is refused has no rows
        for line in lines_of(path):
            with suppress(ValueError):
                row = json.loads(line.decode("utf-8", errors="replace"))
                if isinstance(row, dict):
                    rows.append(row)
    return tuple(rows)
