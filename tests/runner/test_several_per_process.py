"""Several tasks at a time in one process, as on a CUDA device."""

from pathlib import Path

import pytest
import slot_works

from evaluator.errors import ConfigurationError, Verdict
from evaluator.runner.workers import Failure, Judging, Workers


class Model(slot_works.Nothing):
    """Of a model that no other task has."""

    def __init__(self, number: int) -> None:
        self.number = number

    def model_digest(self) -> str:
        return str(self.number)


def tasks(count: int, of_model=lambda number: number):
    return [
        Judging(None, Model(of_model(k)), k, slot_works.Nothing(), Path("unused"), reused=False)  # type: ignore[arg-type]
        for k in range(count)
    ]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(slot_works.PLACE, str(tmp_path))
    return tmp_path


def test_tasks_of_one_process_have_a_thread_each_and_tell_of_themselves(place):
    moved = []
    with Workers(2, work=slot_works.thread_of, together=2) as workers:
        workers.moved = lambda task, news: moved.append((task.data, news.what))
        found = [outcome.split() for _, outcome in workers.train(tasks(6))]
    assert sorted(int(number) for number, _, _ in found) == list(range(6))
    assert len({process for _, process, _ in found}) == 1
    assert len({thread for _, _, thread in found}) == 2
    assert moved
    assert all(what == f"of {number}" for number, what in moved)


def test_places_are_spread_over_processes(place):
    with Workers(3, work=slot_works.thread_of, together=2) as workers:
        assert [each.slots for each in workers._places] == [2, 1]
    with Workers(4, ("0", "1"), work=slot_works.thread_of, together=2) as workers:
        found = [outcome.split() for _, outcome in workers.train(tasks(4))]
    assert len({process for _, process, _ in found}) == 2


def test_tasks_of_one_model_stay_in_one_thread(place):
    with Workers(2, work=slot_works.thread_of, together=2) as workers:
        found = dict(outcome.split()[::2] for _, outcome in workers.train(tasks(6, lambda number: number // 3)))
    assert len({found[str(k)] for k in range(3)}) == 1
    assert len({found[str(k)] for k in range(3, 6)}) == 1
    assert found["0"] != found["3"]


def test_a_process_that_dies_takes_only_the_task_with_it_that_killed_it(place, capsys):
    with Workers(3, work=slot_works.fatal_beside, together=3) as workers:
        found = {task.data: outcome for task, outcome in workers.train(tasks(5))}
    dead = found.pop(1)
    assert isinstance(dead, Failure)
    assert dead.verdict is Verdict.INFRASTRUCTURE
    assert "killed by SIGKILL" in dead.reason
    assert found == {k: str(k) for k in (0, 2, 3, 4)}
    assert "tried again by itself" in capsys.readouterr().err
    # The second time it ran by itself: no other task began in its process before it ended.
    starts = sorted((int(path.name.split(".")[1]), *path.name.split(".")[::2]) for path in place.iterdir())
    of_killer = [process for _, number, process in starts if number == "1"]
    assert len(of_killer) == 2
    alone = [number for _, number, process in starts if process == of_killer[1]]
    assert alone[-1] == "1" or alone.count("1") == 1
    assert alone.index("1") == len(alone) - 1


def test_a_device_that_fails_under_several_tasks_is_lost_to_all_and_each_is_tried_again(place, capsys):
    with Workers(2, work=slot_works.losing_beside, together=2) as workers:
        found = {task.data: outcome for task, outcome in workers.train(tasks(3))}
    assert found == {k: str(k) for k in range(3)}
    assert capsys.readouterr().err.count("tried again") == 2


def test_the_caller_who_stops_leaves_no_process(place):
    with Workers(2, work=slot_works.thread_of, together=2) as workers:
        running = workers.train(tasks(4))
        next(running)
        running.close()
        assert all(each._process is None for each in workers._places)
        assert len(list(workers.train(tasks(2)))) == 2


@pytest.mark.parametrize("together", [1, 3])
def test_a_task_that_ends_its_thread_or_cannot_be_sent_is_waited_for_by_nobody(place, together):
    with Workers(together, work=slot_works.leaving_beside, together=together) as workers:
        found = {task.data: outcome for task, outcome in workers.train(tasks(5))}
    assert {number: outcome for number, outcome in found.items() if number not in (1, 2)} == {k: str(k) for k in (0, 3, 4)}
    assert "ended with status" in found[1].reason
    assert "pickle" in found[2].reason


def test_of_several_that_kill_their_process_no_other_task_fails(place):
    with Workers(3, work=slot_works.killing_beside, together=3) as workers:
        found = {task.data: outcome for task, outcome in workers.train(tasks(7))}
    assert {number for number, outcome in found.items() if isinstance(outcome, Failure)} == {1, 3}
    assert all(not outcome.beside for outcome in found.values() if isinstance(outcome, Failure))


@pytest.mark.parametrize(("count", "devices", "slots"), [(5, 4, 5), (9, 8, 9), (8, 1, 8), (2, 4, 2), (16, 2, 16), (1, 1, 1)])
def test_no_device_stays_idle(count, devices, slots):
    workers = Workers(count, tuple(map(str, range(devices))), together=-(-count // devices))
    assert sum(place.slots for place in workers._places) == slots
    assert len(workers._places) == min(count, devices)
    with pytest.raises(ConfigurationError, match="1 or more"):
        Workers(1, together=0)
