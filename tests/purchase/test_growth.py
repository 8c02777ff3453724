"""The start of a cell does no work that grows with the pool; the market takes permutations as its order, and nothing else."""

import json
import re
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.data.cache import CachedImages
from evaluator.errors import ConfigurationError, Verdict
from evaluator.purchase.market import Market
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionSpec
from evaluator.sandbox.process import ProcessSandbox
from evaluator.seeds import generator
from evaluator.worker.datasets import ImageDataset
from evaluator.worker.frames import encode
from evaluator.worker.images import map_rows
from evaluator.worker.purchase import MarketClient, PoolDataset

PROBE = """
import json
from run import ZEWDPCBaseRun
class Probe(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pool = unlabelled_dataset
        n = len(pool)
        seen = [[item["idx"], item["image"][0, 0].tolist()] for item in (pool[0], pool[n // 2], pool[-1])]
        pool.purchase_label(n - 1)
        print("SEEN " + json.dumps([n, seen]))
"""


class Recording(ProcessSandbox):
    """Keeps every frame that is sent to its workers."""

    def __init__(self):
        super().__init__()
        self.frames = []

    def start(self, spec):
        worker = super().start(spec)
        send = worker.channel.send

        def recorded(message, blob=b"", *, deadline, descriptors=()):
            self.frames.append((message, bytes(blob)))
            send(message, blob, deadline=deadline, descriptors=descriptors)

        worker.channel.send = recorded
        return worker


@pytest.fixture
def start(tmp_path):
    """A session on a pool of n images whose first pixel is the number of the image: (its result, order, frames)."""

    def run(n):
        numbers = np.arange(n)
        rows = generator(1, "rows", n).permutation(n)
        images = np.zeros((n, 1, 1, 3), np.uint8)
        images[rows, 0, 0] = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], axis=1)
        np.save(tmp_path / f"{n}.npy", images)
        (tmp_path / "probe.py").write_text(PROBE)
        pool = CachedImages(tmp_path / f"{n}.npy", rows, 1)
        few = CachedImages(pool.path, np.arange(10), 1)
        labels = np.zeros((n, 6), np.uint8)
        order = generator(1, "order", n).permutation(n)
        sandbox = Recording()
        classes = tuple("abcdef")
        spec = SessionSpec(tmp_path / "probe.py", classes, few, labels[:10], pool, order, few, labels, 5, 60, 60, 60, seed=1)
        result = run_session(spec, sandbox)
        assert result.verdict is Verdict.OK, result.reason
        return result, order, sandbox.frames

    return run


def sizes(frames):
    """Per frame the length of its JSON part, without digits and folders, and of its binary part."""
    for message, blob in frames:
        plain = {name: value.rpartition("/")[2] if isinstance(value, str) else value for name, value in message.items()}
        yield message["t"], len(re.sub(r"[\d.e-]+", "", encode(plain)[8:].decode())), len(blob)


def test_what_a_worker_is_sent_does_not_grow_with_the_pool(start):
    small, large = start(100)[2], start(10_000)[2]
    assert list(sizes(small)) == list(sizes(large))
    assert max(len(blob) for _, blob in large) < 1_000
    assert [message["t"] for message, _ in large[:3]] == ["load", "phase", "phase"]
    assert large[2][0]["name"] == "purchase_phase"


@pytest.mark.parametrize("n", [3, 10_000])
def test_the_pool_has_the_order_of_its_session_and_sells_by_it(start, n):
    result, order, _ = start(n)
    count, seen = json.loads(next(line for line in result.log.splitlines() if line.startswith("SEEN "))[5:])
    assert count == n
    assert [number for number, _ in seen] == [0, n // 2, n - 1]
    assert [(a << 16) + (b << 8) + c for _, (a, b, c) in seen] == order[[0, n // 2, n - 1]].tolist()
    assert [(p.index, p.image) for p in result.ledger] == [(n - 1, order[-1])]


def instructions(work):
    """Instructions of Python code that ``work`` executes on this thread: a loop shows, whatever it calls or does not."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_instructions_of_loops_are_counted():
    assert instructions(lambda: [x + 1 for x in range(1_000)]) - instructions(lambda: [x + 1 for x in range(10)]) >= 990
    assert instructions(lambda: np.arange(100_000).sum()) == instructions(lambda: np.arange(10).sum())


def test_no_loop_of_the_evaluator_goes_over_the_pool_at_the_start(start):
    start(100)  # what is imported on first use
    # Waiting for the worker takes more or fewer looks; a loop over the pool would go 9,900 rounds more.
    assert instructions(lambda: start(10_000)) - instructions(lambda: start(100)) < 9_900


def test_a_worker_makes_nothing_of_the_pools_size_until_it_is_asked(tmp_path):
    n = 1_000_000
    np.save(tmp_path / "images.npy", np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 3), np.uint8))
    rows = generator(1, "rows").integers(0, 10, n).astype(np.uint32)
    (tmp_path / "pool.rows").write_bytes(rows.tobytes())

    def pool():
        return PoolDataset(tmp_path / "images.npy", map_rows(tmp_path / "pool.rows"), tuple("ab"), MarketClient(None, n, 2, 5, 9.0))

    def phase():
        dataset = pool()
        some = dataset[n - 20 :: 2], dataset[[5, -1]], dataset[np.array([7], np.uint8)]
        return dataset[n - 1], [[item["idx"] for item in part] for part in some]

    phase()
    tracemalloc.start()
    try:
        item, numbers = phase()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert numbers == [list(range(n - 20, n, 2)), [5, n - 1], [7]]
    assert (item["idx"], item["image"][0, 0, 0]) == (n - 1, rows[-1])
    assert peak < 100_000
    assert instructions(phase) < 20_000
    assert np.array_equal(pool().indices, np.arange(n))


def test_parts_of_parts_keep_their_numbers(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((12, 1, 1, 3), np.uint8))
    dataset = ImageDataset(tmp_path / "images.npy", None, None, ("a",))
    assert dataset[::-1][[0, -1]].indices.tolist() == [11, 0]
    assert dataset[[-1, 3]][::-1].indices.tolist() == [3, 11]
    assert dataset[[]].indices.tolist() == dataset[[]][:].indices.tolist() == []
    for wrong in ([12], [-13], [0.5], [True, False]):
        with pytest.raises(IndexError):
            dataset[wrong]


@pytest.mark.parametrize(("size", "said"), [(0, None), (4, None), (6, "6 bytes")])
def test_a_file_of_rows_is_whole_numbers_of_four_bytes(tmp_path, size, said):
    (tmp_path / "pool.rows").write_bytes(bytes(size))
    if said is None:
        assert map_rows(tmp_path / "pool.rows").tolist() == [0] * (size // 4)
    else:
        with pytest.raises(ValueError, match=said):
            map_rows(tmp_path / "pool.rows")


@given(st.lists(st.integers(-2, 6), max_size=6))
def test_a_market_takes_permutations_and_nothing_else(order):
    labels = np.zeros((len(order), 2), np.uint8)
    if sorted(order) == list(range(len(order))):
        assert len(Market(labels, np.array(order, np.int64), 1)) == len(order)
    else:
        with pytest.raises(ConfigurationError, match="permutation"):
            Market(labels, np.array(order, np.int64), 1)


def test_a_market_takes_no_order_of_fractions():
    with pytest.raises(ConfigurationError, match="permutation"):
        Market(np.zeros((3, 2), np.uint8), np.array([0.0, 1.0, 2.0]), 1)
