"""One check: a duty that a tier has, and a small play that shows whether the tier does it."""

from __future__ import annotations

import inspect
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluator.errors import ConfigurationError
from evaluator.sandbox.conformance.stage import Broken, Stage, Unseen
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import PROMISES, Sandbox

CheckVerdict = Literal["passed", "failed", "not promised", "not checked"]


@dataclass(frozen=True)
class Check:
    """A named check.

    Attributes:
        name: in words, the name of its function.
        duty: what a tier must do: the function's docstring.
        promise: a key of ``PROMISES`` that makes it a duty; None where every tier must do it.
        play: raises ``Broken`` or ``Unseen``; returns a figure worth showing, or nothing.
    """

    name: str
    duty: str
    promise: str | None
    play: Callable[[Stage], str | None]

    def __post_init__(self) -> None:
        if not self.duty:
            raise ConfigurationError(f"the check {self.name!r} needs a docstring that says what a tier must do")
        if self.promise is not None and self.promise not in PROMISES:
            raise ConfigurationError(f"the check {self.name!r} tests the promise {self.promise!r}; known: {', '.join(PROMISES)}")


@dataclass(frozen=True)
class CheckResult:
    """What came of a check: ``not promised`` if the tier does not claim it, ``not checked`` if this machine cannot show it."""

    name: str
    duty: str
    verdict: CheckVerdict
    seconds: float
    detail: str


def check(registry: list[Check], promise: str | None = None) -> Callable[[Callable[[Stage], str | None]], Check]:
    """Make a check of a function and enter it into ``registry``."""

    def enter(play: Callable[[Stage], str | None]) -> Check:
        name = play.__name__.replace("_", " ")
        # python -OO keeps no docstrings; the name alone then says what is checked.
        made = Check(name, inspect.getdoc(play) or (name if sys.flags.optimize >= 2 else ""), promise, play)
        registry.append(made)
        return made

    return enter


def run_check(made: Check, sandbox: Sandbox) -> CheckResult:
    """Run one check on a stage of its own. Whatever goes wrong in it is a result; only an interrupt goes through."""
    # A tier that does not say what it promises is checked for everything.
    if made.promise is not None and made.promise not in getattr(sandbox, "promises", PROMISES):
        return CheckResult(made.name, made.duty, "not promised", 0.0, f"{made.promise}: {PROMISES[made.promise]}")
    started = time.perf_counter()
    verdict: CheckVerdict = "passed"
    try:
        with scratch_folder() as folder:
            detail = made.play(Stage(sandbox, folder)) or ""
    except Broken as error:
        verdict, detail = "failed", str(error)
    except Unseen as error:
        verdict, detail = "not checked", str(error)
    except Exception as error:  # a check that breaks has not passed
        place = traceback.extract_tb(error.__traceback__)[-1]
        verdict, detail = "failed", f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    return CheckResult(made.name, made.duty, verdict, time.perf_counter() - started, detail)


def run_checks(checks: Iterable[Check], sandbox: Sandbox) -> Iterator[CheckResult]:
    """Run all of them, one after the other."""
    for made in checks:
        yield run_check(made, sandbox)
