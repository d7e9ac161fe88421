"""What this machine has: memory, and space on its disk. This module imports no torch."""

import shutil
from pathlib import Path

import psutil

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # where Linux says what a container may hold


def machine_megabytes() -> int:
    """Return the memory of this machine, or of its container if that is less, in 10^6 bytes."""
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else ""
    contained = [int(limit)] if limit.isdigit() else []
    return min([psutil.virtual_memory().total, *contained]) // 10**6


def free_bytes(folder: Path) -> int:
    """Return the free space where a folder is, or is going to be."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    return shutil.disk_usage(there).free
