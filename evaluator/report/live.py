"""What a person sees while something takes long: a line that is drawn anew in a terminal; elsewhere lines, and signs of life.

Nothing is silent for more than ``QUIET`` seconds, in a log file neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from evaluator.text import one_line

QUIET = 15.0
"""Seconds without a line after which a sign of life is printed, where no line can be drawn."""


class Live(Progress):
    """A progress line with the time left; redrawn twice a second, since it runs beside the participant's clock.

    Where the console is no terminal, ``say`` prints lines, and a thread prints what is being done when nothing else was printed for
    ``quiet`` seconds. Used as a context manager.
    """

    def __init__(self, console: Console, quiet: float = QUIET) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=2,
            transient=True,
        )
        self.plain = not console.is_terminal
        self._quiet = quiet
        self._printed = self._began = time.monotonic()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to draw, or to give signs of life."""
        if not self.plain:
            super().start()
            return
        self._printed = self._began = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name="signs of life", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it. May be called again."""
        if not self.plain:
            super().stop()
            return
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def say(self, text: object, style: str = "") -> None:
        """Print one line, above the one that is drawn."""
        self._printed = time.monotonic()
        self.console.print(Text(one_line(text, 2_000), style=style), soft_wrap=True)

    def shown(self, renderable: Any) -> None:
        """Print something else."""
        self._printed = time.monotonic()
        self.console.print(renderable, soft_wrap=True)

    def _beat(self) -> None:
        while not self._over.wait(min(1.0, self._quiet / 4)):
            if time.monotonic() - self._printed >= self._quiet:
                self.say(f"... {self.sign()}")

    def sign(self) -> str:
        """What is being done, and for how long, in words."""
        tasks = self.tasks
        doing = tasks[-1].description if tasks else "at work"
        share = f", {tasks[-1].percentage:.0f} %" if tasks and tasks[-1].total and 0 < tasks[-1].completed < tasks[-1].total else ""
        return f"{doing}{share}, {time.monotonic() - self._began:.0f} s so far"


@contextmanager
def doing(console: Console, what: str) -> Iterator[Callable[..., None]]:
    """Show one piece of work while it is done.

    Args:
        what: the work, in a few words.

    Yields:
        A function to call with how much is done and how much there is, in any unit; also with ``what``, if the work changes.
    """
    with Live(console) as line:
        task = line.add_task(what, total=None)

        def moved(done: float, total: float, what: str | None = None) -> None:
            line.update(task, completed=done, total=total or None, description=what)

        yield moved
