"""Execute notebooks one after the other in one kernel, or in one kernel a core."""

import ast
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from coupling import files
from coupling.errors import StudyError
from coupling.report import failures
from coupling.spec import SpecError, from_anywhere
from coupling.sweep import is_path

KERNEL = "python3"
ENGINE = "shared"


class NotebookError(StudyError, RuntimeError):
    """A notebook failed. The message is that of its error."""


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
        if name == "items" or (name == "sweep" and is_path(text)):
            found[name] = str(Path(text).expanduser().resolve())
    return from_anywhere(found)


def stated(parameters: dict[str, Any]) -> list[str]:
    """Say parameters as name=value, so that `parameters` reads the same values again."""
    texts = {
        name: value if isinstance(value, str) and _value(value) == value else json.dumps(value, default=str)
        for name, value in parameters.items()
    }
    return [f"{name}={text}" for name, text in texts.items()]


def repeating(job: Job) -> list[str]:
    """Return the words after `coupling` that execute a notebook again."""
    given = [word for pair in stated(job.parameters) for word in ("-p", pair)]
    source = job.source.resolve()
    named = source.relative_to(files.root()) if source.is_relative_to(files.root()) else source
    return ["notebook", str(named), str(job.out), *given]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def check_plain(source: Path) -> None:
    """Check that the code cells of a notebook are plain Python.

    A notebook is code, and is executed with all rights of who executes it. So a reader must be able to see
    what it does. Commands of the shell (`!`), magics (`%`, `%%`) and calls of IPython's own functions run
    other programs and other languages in ways that a reader of Python does not see, and need IPython.

    Raises:
        SpecError: Where a cell is not plain Python. The message names the notebook, the cell and the line.
    """
    import nbformat

    try:
        cells = nbformat.read(source, as_version=4).cells
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, KeyError) as error:
        raise SpecError(f"{source} is no notebook: {(str(error).splitlines() or [''])[0][:200]}") from None
    for number, cell in enumerate(cells, 1):
        if cell.cell_type != "code":
            continue
        try:
            names = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name)]
        except (SyntaxError, ValueError) as error:
            raise _not_plain(source, number, getattr(error, "lineno", 1), cell.source) from None
        if own := [name.lineno for name in names if name.id == "get_ipython"]:
            raise _not_plain(source, number, own[0], cell.source)


def _not_plain(source: Path, cell: int, line: int, text: str) -> SpecError:
    words = (text.splitlines() or [""])[min(line, len(text.splitlines()) or 1) - 1].strip()
    return SpecError(
        f"{source}, cell {cell}, line {line}: {words[:100]!r} is not plain Python; write it as Python, "
        "without commands of the shell and magics"
    )


def execute(jobs: Iterable[Job]) -> None:
    """Execute notebooks, each in the folder of its own file.

    The notebooks share one kernel, which is emptied in between. Its start and its imports are thus paid for
    once. A notebook that fails does not stop the others. Its error is printed with its name.

    Where this process is told to end (SIGTERM), the kernel is told so too. A kernel that trains writes a
    checkpoint first. This process ends after it, and executes no further notebook.

    Raises:
        Exception: The error of the last notebook that failed, after all have been tried. It is a SpecError
            where a notebook would overwrite itself.
    """
    with _not_installed("rfc3987_syntax"):  # it builds a grammar of addresses, a second of a core
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
                with _kept(Job(source, out, values)):
                    check_plain(source)
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
                if kernel.told_to_end:
                    sys.exit(128 + signal.SIGTERM)
    finally:
        kernel.stop()
    if failed:
        raise failed


@contextmanager
def side_by_side(jobs: Sequence[Job]) -> Iterator[None]:
    """Execute notebooks that do not need each other, on all cores: each process has a kernel of its own.

    They are executed while the block runs, which need not know of them. All are done when it has ended.

    Raises:
        NotebookError: Where a notebook failed, after all have been tried.
    """
    processes = min(os.cpu_count() or 1, len(jobs))
    if processes < 2:
        yield
        if jobs:
            execute(jobs)
        return
    shares = [jobs[k::processes] for k in range(processes)]
    # A fresh process: a copy of this one would hold its sockets and threads.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        found = pool.map(_error, shares)  # they start at once
        yield
        failed = [error for error in found if error]
    if failed:
        raise NotebookError(failed[-1])


def _error(jobs: Sequence[Job]) -> str:
    """Execute notebooks. Return the error of the last one that failed as text, since not all can be sent."""
    try:
        execute(jobs)
    except Exception as error:
        return str(error)
    return ""


def _kept(job: Job) -> AbstractContextManager[None]:
    """Keep a failure of a job for the status of its sweep, if the job makes a part of the results."""
    if not job.out.resolve().is_relative_to(files.results_dir().resolve()):
        return nullcontext()
    return failures.kept(str(job.out), repeating(job), job.out)


@contextmanager
def _not_installed(module: str) -> Iterator[None]:
    """Within the block, importing a package that others take where it is installed fails, if it is not there.

    jsonschema takes such packages for formats that no notebook has.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # Python's own mark of a module that cannot be imported
    try:
        yield
    finally:
        del sys.modules[module]


@contextmanager
def _handling(number: int, handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle a signal within the block, in the main thread. Other threads get none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before or signal.SIG_DFL)


def _shared_kernel() -> type:
    """Register an engine of papermill whose kernel lives on from notebook to notebook, and return it."""
    from jupyter_core.utils import run_sync
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class SharedKernel(NBClientEngine):
        last = None  # what executed the last notebook, with its kernel and the connection to it
        told_to_end = False

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            cls.empty()
            runner = PapermillNotebookClient(
                nb_man,
                km=cls.last and cls.last.km,
                kernel_name=kernel_name,
                timeout=None,
                extra_arguments=["--log-level=40"],  # else each kernel warns that its channels are plain text
            )
            runner.kc = cls.last and cls.last.kc  # a new connection waits for a fifth of a second

            def end(number, frame):
                cls.told_to_end = True
                if runner.km is None or not runner.km.has_kernel:
                    sys.exit(128 + number)
                os.kill(runner.km.provisioner.pid, number)

            try:
                with _handling(signal.SIGTERM, end):
                    return runner.execute(cleanup_kc=False)
            finally:
                cls.last = runner

        @classmethod
        def empty(cls):
            """Forget all names of the last notebook. A kernel that has died is replaced by a new one."""
            if cls.last is None:
                return
            if not run_sync(cls.last.km.is_alive)():
                cls.stop()
                return
            forget = "get_ipython().reset(new_session=True)"
            cls.last.wait_for_reply(cls.last.kc.execute(forget, silent=True))

        @classmethod
        def stop(cls):
            if cls.last is not None:
                cls.last.kc.stop_channels()
                run_sync(cls.last.km.shutdown_kernel)(now=True)
                cls.last = None

    papermill_engines.register(ENGINE, SharedKernel)
    return SharedKernel
