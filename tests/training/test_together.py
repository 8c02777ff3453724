"""Memory of a device, handed out to the trainings of a process."""

import threading
import time

from evaluator.training.together import Room

GIB = 2**30


class Inside:
    """Trainings in threads that stay inside until they are let go."""

    def __init__(self, room):
        self.room, self.order, self.entries, self._gates, self._threads = room, [], {}, {}, []

    def begin(self, name, need):
        gate = self._gates[name] = threading.Event()

        def stay():
            with self.room.taken(lambda: need) as entry:
                self.entries[name] = entry
                self.order.append(name)
                gate.wait(30)

        self._threads.append(threading.Thread(target=stay, daemon=True))
        self._threads[-1].start()

    def end(self, name):
        self._gates[name].set()

    def settled(self, names):
        """Whether these are inside soon, and stay so."""
        until = time.monotonic() + 10
        while sorted(self.order) != sorted(names) and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.05)
        return sorted(self.order) == sorted(names)


def test_who_does_not_fit_waits_and_comes_when_another_leaves():
    inside = Inside(Room(lambda: 10 * GIB))
    inside.begin("a", 4 * GIB)
    assert inside.settled("a")
    assert not inside.entries["a"].shared
    inside.begin("b", 4 * GIB)
    assert inside.settled("ab")
    inside.begin("c", 2 * GIB)  # nine of ten are given
    assert inside.settled("ab")
    inside.end("a")
    assert inside.settled("abc")
    assert all(inside.entries[name].shared for name in "abc")


def test_who_is_alone_has_room_in_any_case_and_is_not_asked_what_it_needs():
    room = Room(lambda: 0)

    def never():
        raise AssertionError("asked")

    with room.taken(never) as entry:
        assert not entry.shared
    with room.taken(never) as entry:
        assert not entry.shared


def test_two_that_want_to_be_alone_are_one_after_the_other_and_nobody_comes_between():
    room, seen = Room(lambda: 100 * GIB), []
    both = threading.Barrier(2)
    gate = threading.Event()

    def training(name):
        with room.taken(lambda: GIB) as entry:
            both.wait(10)
            assert entry.shared
            room.alone(entry)
            assert not entry.shared
            seen.append(("in", name))
            gate.wait(10)
            seen.append(("out", name))

    def newcomer():
        with room.taken(lambda: GIB):
            seen.append(("in", "new"))

    threads = [threading.Thread(target=training, args=(name,), daemon=True) for name in "ab"]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 10
    while not seen and time.monotonic() < until:
        time.sleep(0.005)
    threads.append(threading.Thread(target=newcomer, daemon=True))
    threads[-1].start()
    time.sleep(0.1)
    assert len(seen) == 1
    gate.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert [what for what, _ in seen] == ["in", "out", "in", "out", "in"]
    assert seen[0][1] == seen[1][1] != seen[2][1] == seen[3][1]
    assert seen[4] == ("in", "new")


def test_a_place_is_given_back_where_the_training_fails():
    room = Room(lambda: GIB)
    for _ in range(2):
        try:
            with room.taken(lambda: GIB):
                raise ValueError("a fault")
        except ValueError:
            pass
    inside = Inside(room)
    inside.begin("a", GIB)
    assert inside.settled("a")
    inside.end("a")


def test_who_waits_where_only_one_can_be_inside_is_not_asked_what_it_needs():
    """On the CPU asking would build a network, which draws from the very generator that the training inside draws from."""
    inside = Inside(Room(lambda: 0))
    inside.begin("a", None)
    assert inside.settled("a")

    def never():
        raise AssertionError("asked")

    waiting = threading.Thread(target=lambda: inside.room.taken(never).__enter__(), daemon=True)
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive()
    inside.end("a")
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_need_that_cannot_be_said_harms_nobody_else():
    inside = Inside(Room(lambda: 10 * GIB))

    def unknown():
        raise ValueError("a network that cannot be built")

    inside.begin("a", GIB)
    assert inside.settled("a")
    done = []

    def training():
        with inside.room.taken(unknown):
            done.append("b")

    other = threading.Thread(target=training, daemon=True)
    other.start()
    inside.begin("c", GIB)
    assert inside.settled("ac")
    assert not done
    inside.end("a")
    inside.end("c")
    other.join(10)
    assert done == ["b"]


def test_work_within_work_takes_what_its_thread_was_given():
    room = Room(lambda: 0)
    with room.taken(lambda: GIB) as outer, room.taken(lambda: GIB) as inner:
        assert not outer.shared
        assert not inner.shared
    with room.taken(lambda: GIB):
        pass


def test_an_interrupt_while_waiting_to_be_alone_keeps_nobody_out(monkeypatch):
    room = Room(lambda: 100 * GIB)
    inside = Inside(room)
    inside.begin("a", GIB)
    assert inside.settled("a")

    def interrupted(*given):
        raise KeyboardInterrupt

    try:
        with room.taken(lambda: GIB) as entry, monkeypatch.context() as patched:
            patched.setattr(room._changed, "wait_for", interrupted)
            room.alone(entry)
    except KeyboardInterrupt:
        pass
    inside.begin("b", GIB)
    assert inside.settled("ab")
    inside.end("a")
    inside.end("b")


def test_memory_that_runs_out_beside_others_halves_nothing_and_is_tried_by_itself(monkeypatch):
    """The work of a device, with a stand-in for it: the room is what decides."""
    import torch

    from evaluator.training import memory

    where, rooms = torch.device("cuda", 0), {}
    monkeypatch.setattr(memory, "room_of", lambda device: rooms.setdefault(device, Room(lambda: 100 * GIB)))
    inside, seen = Inside(memory.room_of(where)), []
    inside.begin("a", GIB)
    assert inside.settled("a")

    def attempt(size):
        seen.append(size)
        if len(seen) == 1 or (len(seen) == 2 and size == 8):
            inside.end("a")
            raise torch.OutOfMemoryError("CUDA out of memory")
        return size

    found = memory.in_room(where, lambda: GIB, lambda: memory.halving(attempt, 8))
    assert seen == [8, 8, 4]  # again by itself with all eight, and only then with fewer
    assert found == 4


def test_trainings_on_the_cpu_take_turns_and_give_what_they_give_alone():
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    from toys import SMALL, same, toy

    from evaluator.training.loop import train

    recipe = replace(SMALL, dropout=0.3, stochastic_depth=0.2)
    images, labels = toy(16)
    alone = train(recipe, images, labels, seed=1, threads=1)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: train(recipe, images, labels, seed=1, threads=1), range(2)))
    assert all(same(alone, each) for each in both)
    nested = []
    train(recipe, images, labels, seed=2, threads=1, progress=lambda share: nested.append(share))
    assert nested
