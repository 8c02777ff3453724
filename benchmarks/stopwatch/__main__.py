"""Do the clocks of the benchmarks tell the truth on this machine, and is it quiet enough to measure?

    python -m benchmarks.stopwatch [--repeats 5]

Measures, ``--repeats`` times each (median, lowest and highest):

- the same short work, by the clock and in processor time: far apart where other programs take the cores,
- what a sleep of 0.2 s takes of the processor: about nothing,
- what a process that was started and has ended takes, as its parent sees it: what that process says itself,
- the cores that other programs keep busy meanwhile (Linux).

The exit status is 1 where a sleep counts as work or the work of another process does not count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from benchmarks.stopwatch.machine import described
from benchmarks.stopwatch.processor import machine_seconds, measured, processor_seconds
from evaluator.cli.parsing import Prose

NAP = 0.2
"""Seconds of a sleep."""
CHILD = "import time; sum(range(5_000_000)); print(time.process_time())"


def short_work() -> int:
    """A few milliseconds of arithmetic."""
    return sum(range(200_000))


def by_both_clocks() -> tuple[float, float]:
    """Seconds of ``short_work``: by the clock, once and as it comes; in processor time, warm and repeated."""
    started = time.perf_counter()
    short_work()
    return time.perf_counter() - started, measured(short_work)[1]


def asleep() -> float:
    """Processor seconds during a sleep of ``NAP`` seconds."""
    before = processor_seconds()
    time.sleep(NAP)
    return processor_seconds() - before


def of_a_child() -> tuple[float, float]:
    """Processor seconds of a process, as its parent counts them, and as the process itself says at its end."""
    before = processor_seconds()
    said = subprocess.run([sys.executable, "-S", "-c", CHILD], check=True, capture_output=True, text=True).stdout
    return processor_seconds() - before, float(said)


def verdicts(sleeping: float, counted: float, said: float) -> list[str]:
    """What is wrong, a line each: medians of ``asleep`` and ``of_a_child``."""
    wrong = []
    if sleeping > NAP / 10:
        wrong.append(f"a sleep of {NAP:g} s counts as {sleeping:.3f} s of work; expected a tenth of that at most")
    # A parent also counts the start of the interpreter, which the process itself does not.
    if counted < 0.9 * said:
        wrong.append(f"a process says that it worked {said:.3f} s, and its parent counts {counted:.3f} s")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0, or 1 where a clock is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stopwatch", description=__doc__, formatter_class=Prose)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = range(parser.parse_args(arguments).repeats)
    began, own, everything = time.perf_counter(), processor_seconds(), machine_seconds()
    clock, processor = zip(*(by_both_clocks() for _ in repeats), strict=True)
    sleeping = [asleep() for _ in repeats]
    counted, said = zip(*(of_a_child() for _ in repeats), strict=True)
    rows = {
        "short work, by the clock": clock,
        "short work, processor time": processor,
        f"a sleep of {NAP:g} s, processor time": sleeping,
        "a process, as its parent counts it": counted,
        "a process, as it says itself": said,
    }
    print(f"{'milliseconds':40}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name, values in rows.items():
        print(f"{name:40}" + "".join(f"{1e3 * value:10.2f}" for value in (statistics.median(values), min(values), max(values))))
    if everything is not None:
        now = machine_seconds()
        others = max((now or everything) - everything - (processor_seconds() - own), 0.0) / (time.perf_counter() - began)
        where = described()
        print(f"other programs kept {others:.1f} of {where['cores']} cores busy; load average {where['load'][0]:.1f}")
    wrong = verdicts(statistics.median(sleeping), statistics.median(counted), statistics.median(said))
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
