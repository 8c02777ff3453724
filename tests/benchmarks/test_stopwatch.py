"""The clocks of the benchmarks, read from counters that the tests make."""

import gc
import resource
from types import SimpleNamespace

import pytest

from benchmarks.stopwatch import __main__ as command
from benchmarks.stopwatch import machine, processor


def test_short_work_is_repeated_and_warmed_up(monkeypatch):
    calls = []
    monkeypatch.setattr(processor, "processor_seconds", lambda: 0.004 * len(calls))  # each repetition takes 4 ms

    def work():
        calls.append(gc.isenabled())
        return len(calls)

    value, seconds = processor.measured(work, least=0.019)
    assert len(calls) == 1 + 5, "a warm-up, and as many as 19 ms need"
    assert value == 6
    assert seconds == pytest.approx(0.004)
    assert calls[0], "the collector runs in the warm-up"
    assert not any(calls[1:])
    assert gc.isenabled()


def test_work_that_is_long_enough_is_not_repeated(monkeypatch):
    calls = []
    monkeypatch.setattr(processor, "processor_seconds", lambda: 1.5 * len(calls))
    value, seconds = processor.measured(lambda: calls.append(0) or "done")
    assert (value, seconds, len(calls)) == ("done", 1.5, 2)


def test_the_collector_is_back_when_work_fails():
    with pytest.raises(ZeroDivisionError):
        processor.measured(lambda: 1 / 0)
    done = []

    def fails_the_second_time():
        done.append(0)
        if len(done) == 2:
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        processor.measured(fails_the_second_time)
    assert gc.isenabled()


def test_processor_time_is_that_of_the_process_and_of_those_that_have_ended(monkeypatch):
    used = {
        resource.RUSAGE_SELF: SimpleNamespace(ru_utime=1.0, ru_stime=0.25),
        resource.RUSAGE_CHILDREN: SimpleNamespace(ru_utime=2.0, ru_stime=0.5),
    }
    monkeypatch.setattr(resource, "getrusage", used.__getitem__)
    assert processor.processor_seconds() == 3.75


def test_the_machines_time_is_that_of_all_programs_without_idling_and_waiting(tmp_path, monkeypatch):
    counters = tmp_path / "stat"
    # user, nice, system, idle, waiting for a disk, irq, softirq, steal, guest
    counters.write_text("cpu  100 20 30 9000 8000 4 5 6 7000 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    assert processor.machine_seconds(counters) == pytest.approx((100 + 20 + 30 + 4 + 5 + 6) / 100)
    assert processor.machine_seconds(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((0.0001, 0.07, 0.068), []),
        ((0.1, 0.07, 0.068), ["a sleep of 0.2 s counts as 0.100 s of work"]),
        ((0.0, 0.0, 0.068), ["a process says that it worked 0.068 s, and its parent counts 0.000 s"]),
    ],
    ids=["right", "sleep is work", "children do not count"],
)
def test_wrong_clocks_are_told(figures, said):
    found = command.verdicts(*figures)
    assert len(found) == len(said)
    assert all(line.startswith(words) for line, words in zip(found, said, strict=True))


@pytest.mark.parametrize(("sleeping", "status"), [(0.0, 0), (0.19, 1)])
def test_the_command_prints_every_clock_and_ends_badly_where_one_is_wrong(monkeypatch, capsys, sleeping, status):
    monkeypatch.setattr(command, "by_both_clocks", lambda: (0.005, 0.0025))
    monkeypatch.setattr(command, "asleep", lambda: sleeping)
    monkeypatch.setattr(command, "of_a_child", lambda: (0.07, 0.068))
    assert command.main(["--repeats", "2"]) == status
    told = capsys.readouterr()
    assert "2.50      2.50      2.50" in told.out
    assert ("a sleep of 0.2 s counts as 0.190 s of work" in told.err) == bool(status)


def test_what_measured_is_described(monkeypatch):
    monkeypatch.setattr("sys.argv", ["x", "--only", "two words"])
    spec = SimpleNamespace(name="benchmarks.scale.__main__")
    monkeypatch.setattr("sys.modules", {**__import__("sys").modules, "__main__": SimpleNamespace(__spec__=spec)})
    found = machine.described("numpy")
    assert found["command"] == "python -m benchmarks.scale --only 'two words'"
    assert found["numpy"] == __import__("numpy").__version__
    assert found["cores"] >= 1
    assert len(found["load"]) == 3
