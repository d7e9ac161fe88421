"""Execute notebooks one after the other in one kernel."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from coupling import files
from coupling.report import failures
from coupling.spec import SpecError, from_anywhere
from coupling.sweep import is_path

KERNEL = "python3"
ENGINE = "shared"


class Job(NamedTuple):
    """A notebook to be executed.

    Attributes:
        source: The notebook. It is never changed.
        out: Where the executed notebook is written.
        parameters: Values of the notebook's parameters by name.
    """

    source: Path
    out: Path
    parameters: dict[str, Any]


def parameters(pairs: Iterable[str]) -> dict[str, Any]:
    """Read parameters that are given as name=value.

    A value is read as JSON or as a word of Python where it is one, and is text otherwise. Paths are made
    absolute, because a notebook is executed in its own folder.

    Raises:
        SpecError: Where a pair has no name or no equals sign.
    """
    found = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise SpecError(f"parameter {pair!r}: expected name=value, for instance -p {name or 'seed'}=1")
        found[name] = _value(text)
        if name == "sweep" and is_path(text):
            found[name] = str(Path(text).expanduser().resolve())
    return from_anywhere(found)


def stated(parameters: dict[str, Any]) -> list[str]:
    """Say parameters as name=value, so that `parameters` reads the same values again."""
    return [
        f"{name}={value if isinstance(value, str) and _value(value) == value else json.dumps(value)}"
        for name, value in parameters.items()
    ]


def repeating(job: Job) -> list[str]:
    """Return the words behind `coupling` that execute a notebook again."""
    given = [word for pair in stated(job.parameters) for word in ("-p", pair)]
    source = job.source.resolve()
    named = source.relative_to(files.root()) if source.is_relative_to(files.root()) else source
    return ["notebook", str(named), str(job.out), *given]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def execute(jobs: Iterable[Job]) -> None:
    """Execute notebooks, each in the folder of its own file.

    The notebooks share one kernel, which is emptied in between. Its start and its imports are thus paid for
    once. A notebook that fails does not stop the others. Its error is printed with its name.

    Raises:
        Exception: The error of the last notebook that failed, after all have been tried. It is a SpecError
            where a notebook would overwrite itself.
    """
    import papermill

    kernel = _shared_kernel()
    files.pin_folders()  # a notebook is executed in its own folder
    os.environ["COUPLING_QUIET"] = "1"
    failed = None
    try:
        for source, out, values in jobs:
            try:
                if source.resolve() == out.resolve():
                    raise SpecError(f"{out} is the notebook itself: give another file for the executed one")
                with failures.kept(str(out), repeating(Job(source, out, values)), out):
                    out.parent.mkdir(parents=True, exist_ok=True)
                    papermill.execute_notebook(
                        str(source),
                        str(out),
                        parameters=values,
                        cwd=str(source.parent),
                        progress_bar=False,
                        kernel_name=KERNEL,
                        engine_name=ENGINE,
                    )
            except Exception as error:  # a notebook may fail in any way, and the others are still wanted
                print(f"{out}: {error}", file=sys.stderr)
                failed = error
    finally:
        kernel.stop()
    if failed:
        raise failed


def _shared_kernel() -> type:
    """Register an engine of papermill whose kernel lives on from notebook to notebook, and return it."""
    from jupyter_core.utils import run_sync
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class SharedKernel(NBClientEngine):
        kernel = None  # the manager of the kernel, once there is one

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            cls.empty()
            runner = PapermillNotebookClient(
                nb_man,
                km=cls.kernel,
                kernel_name=kernel_name,
                timeout=None,
                extra_arguments=["--log-level=40"],  # else each kernel warns that its channels are plain text
            )
            try:
                return runner.execute(cleanup_kc=False)
            finally:
                cls.kernel = runner.km

        @classmethod
        def empty(cls):
            """Forget all names of the last notebook. A kernel that has died is replaced by a new one."""
            if cls.kernel is None or not run_sync(cls.kernel.is_alive)():
                cls.kernel = None
                return
            client = cls.kernel.blocking_client()
            client.start_channels()
            client.wait_for_ready(timeout=60)
            client.execute("get_ipython().reset(new_session=True)", silent=True, reply=True, timeout=60)
            client.stop_channels()

        @classmethod
        def stop(cls):
            if cls.kernel is not None:
                run_sync(cls.kernel.shutdown_kernel)(now=True)

    papermill_engines.register(ENGINE, SharedKernel)
    return SharedKernel
