"""Memory of a device, handed out to the trainings of a process."""

import threading
import time
from dataclasses import replace

import pytest
import torch

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


def test_heads_and_starting_weights_on_the_cpu_are_drawn_one_thread_at_a_time():
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    import numpy as np
    import torch
    from toys import same

    from evaluator.training.embeddings.heads import train_head
    from evaluator.training.network import build_network
    from evaluator.training.recipes import PIPELINES

    recipe = replace(PIPELINES["proxy"], dropout=0.4, epochs=4)
    rng = np.random.default_rng(0)
    embedded, labels = rng.normal(size=(40, 8)).astype(np.float32), rng.integers(0, 2, (40, 3))

    def head(seed):
        build_network("efficientnet_b0", 2, seed=seed)  # it seeds the generator that a dropout beside it draws from
        return train_head(recipe, embedded, labels, seed=seed, weights_identity="none", threads=1)

    def state():
        return torch.get_rng_state()

    before = state()
    alone = [head(seed) for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(head, range(6)))
    assert all(same(one, other) for one, other in zip(alone, beside, strict=True))
    assert torch.equal(before, state())


@pytest.fixture
def busy(monkeypatch):
    """A room for trainings on the CPU in which other work is, so that they are beside others; ``busy()`` ends that work."""
    from evaluator.training import loop, memory

    rooms = {}
    monkeypatch.setattr(memory, "room_of", lambda where: rooms.setdefault(where, Room(lambda: 100 * GIB)))
    monkeypatch.setattr(loop, "beside_others", lambda *given: GIB)
    inside = Inside(memory.room_of(torch.device("cpu")))
    inside.begin("other", GIB)
    assert inside.settled(["other"])
    yield lambda: inside.end("other")
    inside.end("other")


def ended(work, seconds=60):
    """What ``work`` gives, in a thread of its own: one that waits for ever fails the test."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work).result(seconds)
    finally:
        pool.shutdown(wait=False)


def short_once(monkeypatch, seed, then=lambda: None):
    """Memory runs out in the first step of the training of this seed."""
    from evaluator.training import attempt

    plain, failed = attempt.Pictures.logits, []

    def scarce(self, rows, draws):
        if self.job.seed == seed and not failed:
            failed.append(seed)
            then()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return plain(self, rows, draws)

    monkeypatch.setattr(attempt.Pictures, "logits", scarce)
    return failed


def test_a_training_within_another_waits_for_nobody_and_takes_fewer_images_at_a_time(busy, monkeypatch):
    from toys import LINEAR, toy

    from evaluator.training import together
    from evaluator.training.loop import train

    recipe, (images, labels), within = replace(LINEAR, epochs=3, batch_size=8), toy(27), []
    said = []
    assert short_once(monkeypatch, 2, lambda: said.append(together.sharing())) == []

    def again(share):
        if not within:
            within.append(None)
            within[0] = train(recipe, images, labels, seed=2, threads=1)
            said.append(together.sharing())

    outer = ended(lambda: train(recipe, images, labels, seed=1, threads=1, progress=again))
    assert within[0].micro_batch == 4  # it cannot wait until it is alone: the training around it never leaves meanwhile
    assert "memory ran out" in within[0].notes[0]
    assert outer.notes == ()
    assert said == [False, True]  # what is around it is beside others still


def test_a_training_short_of_memory_beside_others_gives_its_images_back_and_its_wait_is_not_counted(busy, monkeypatch):
    import gc
    import time
    import weakref

    from toys import LINEAR, same, toy

    from evaluator.training import loop, memory
    from evaluator.training.loop import train

    recipe, (images, labels) = replace(LINEAR, epochs=3, batch_size=8), toy(27)
    plain_place, placed = memory.place, []

    def place(given, where):
        found = plain_place(given, where)
        placed.append(weakref.ref(found))
        return found

    monkeypatch.setattr(loop.memory, "place", place)
    alone = ended(lambda: train(recipe, images, labels, seed=1, threads=1))
    failed = short_once(monkeypatch, 1)
    plain_alone, there = Room.alone, []

    def look(self, entry):
        gc.collect()
        there.append(placed[1]() is not None)
        threading.Timer(1.0, busy).start()
        plain_alone(self, entry)

    monkeypatch.setattr(Room, "alone", look)
    began = time.monotonic()
    again = ended(lambda: train(recipe, images, labels, seed=1, threads=1))
    took = time.monotonic() - began
    assert failed == [1]
    assert there == [False]
    assert len(placed) == 3
    assert same(alone, again)
    assert again.notes == (loop.BESIDE,)
    assert again.seconds < took - 0.9
