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
