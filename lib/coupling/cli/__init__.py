"""The command line `coupling`. Each command reads its options, calls one function of the library and prints.

What takes long to import is imported by the command that needs it.
"""

import errno
import os
import sys

from coupling import files
from coupling.cli import running, showing  # each adds its commands to the application
from coupling.cli.app import app
from coupling.errors import StudyError

_WAYS_OUT = {
    errno.ENOSPC: "; make room there and run again, nothing that was finished is lost",
    errno.EDQUOT: "; make room there and run again, nothing that was finished is lost",
    errno.EACCES: "; change the rights there, or name another folder",
    errno.EPERM: "; change the rights there, or name another folder",
    errno.EROFS: "; it can only be read, so name another folder",
}

__all__ = ["app", "main", "running", "showing"]


def main() -> None:
    """Run the command line.

    An error of the study is printed as one line on stderr, with exit code 2. So is what the system refuses: a
    full disk, or a file that may not be read or written. Folders that environment variables name are meant
    from where the user stands, also in the processes that a command starts.
    """
    files.pin_folders()
    try:
        app()
    except StudyError as error:
        _say(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing is said
        sys.exit(1)
    except OSError as error:
        if not error.strerror:
            raise  # no refusal of the system
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror}{_WAYS_OUT.get(error.errno, '')}")


def _say(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
