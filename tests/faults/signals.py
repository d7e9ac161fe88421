"""Faults: a run is stopped by a signal at a random moment, from the preparation of its M0 to its end."""

import signal
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from cases import Case
from laboratory import Ended, Study
from prepared import NOTHING, Store

MOMENTS = 40  # of a run in a process of its own
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def stopped(
    number: signal.Signals, share: float, seconds: Callable[[], float]
) -> Callable[[Study], Sequence[Ended]]:
    """Return what starts a run and stops it after a share of the time that it takes.

    A run that has ended by then is started anew in the same folder and stopped sooner.
    """

    def inject(study: Study) -> list[Ended]:
        wait = share * seconds()
        for _ in range(8):
            running = study.start()
            was_running = running.signal_after(wait, number)
            ended = running.wait()
            if was_running:
                return [ended]
            wait /= 4
        raise RuntimeError("no signal arrived in time")

    return inject


def cases() -> list[Case]:
    """List all injections of this module."""
    return list(_cases())


def _cases() -> Iterator[Case]:
    rng = np.random.default_rng(2026)
    for k in range(MOMENTS):
        number, share = SIGNALS[k % len(SIGNALS)], float(rng.uniform())
        seconds = {"of": 3.0}

        def of(store: Store, seconds: dict = seconds):
            prepared = store.organism(NOTHING)
            seconds["of"] = prepared.seconds
            return prepared

        inject = stopped(number, share, lambda seconds=seconds: seconds["of"])
        yield Case(f"{number.name} of a run", f"at {share:.3f} of its time", of, inject, may_stop=True)
