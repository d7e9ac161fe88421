"""Join what `pip config list` prints on stdin into one pip.conf for a container.

Arguments: the file to write, and the folder under which the container sees paths of this disk. Prints these
paths. Of an index on this disk, that is the folder around it, since its links go to files beside it.
"""

import ast
import re
import sys
from pathlib import Path

target, root = sys.argv[1:]
values = {}
for line in sys.stdin:
    name, _, value = line.strip().partition("=")
    values[name.rsplit(".", 1)[-1]] = ast.literal_eval(value).split()

found, lines = set(), ["[global]"]
for name, words in values.items():
    for k, word in enumerate(words):
        scheme, path = re.fullmatch(r"(file://)?(.*)", word).groups()
        if path.startswith("/") and Path(path).exists():
            found.add(str(Path(path).parent) if scheme else path)
            words[k] = f"{scheme or ''}{root}{path}"
    lines.append(f"{name} = {' '.join(words)}")
Path(target).write_text("\n".join([*lines, ""]))
for path in sorted(found):
    print(path)
