"""Processes that decode and render images: fresh interpreters, which end when their evaluator does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from types import ModuleType
from typing import Any


class Processes(ProcessPoolExecutor):
    """A pool of processes. Spawned and not forked: the caller may have threads (torch, progress bars) that a fork would break.

    They do not import the caller's main module, as Python's own pool makes them: a script that calls this at its top level would
    run again in each of them. So what they are given to call lies in a module of the kit.

    Args:
        count: number of processes.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **keywords: Any) -> Future[Any]:
        """See ``ProcessPoolExecutor.submit``, which starts the processes."""
        with _without_main():
            return super().submit(fn, *args, **keywords)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Let a process that is started here find no main module to import."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _end_with_parent() -> None:
    """Let a process end when its evaluator was killed; otherwise it would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the evaluator's to answer; it ends its pool
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
