"""Exceptions that arrive while a purchase waits for its answer: no later purchase gets another's labels."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.errors import Verdict
from evaluator.sandbox.bubblewrap import BubblewrapSandbox
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tiers import state
from evaluator.worker.channel import ChannelBroken, WorkerChannel
from evaluator.worker.frames import FrameReader, encode

RINGS = """
    def purchase_phase(self, unlabelled_dataset, budget):
        import signal, itertools
        class TooLate(Exception):
            pass
        def ring(*_):
            raise TooLate
        pool, count = unlabelled_dataset, 0
        signal.signal(signal.SIGALRM, ring)
        for turn in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + turn * 0.000013)
                for index in itertools.cycle(range(budget // 2)):
                    pool.purchase_label(index)
            except TooLate:
                count += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        tell([count, {i: pool.purchase_label(i).tolist() for i in range(budget)}])
        tell({i: l.tolist() for i, l in zip(range(budget), pool.purchase_labels(range(budget)))})
"""
RAISES = """
    def purchase_phase(self, unlabelled_dataset, budget):
        import ctypes, threading, itertools
        class Wake(Exception):
            pass
        pool, count, me = unlabelled_dataset, 0, threading.get_ident()
        def poke():
            time.sleep(0.002)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(me), ctypes.py_object(Wake))
        for turn in range(100):
            try:
                thread = threading.Thread(target=poke)
                thread.start()
                for index in itertools.cycle(range(budget // 2)):
                    pool.purchase_label(index)
            except Wake:
                count += 1
            thread.join()
        tell([count, {i: pool.purchase_label(i).tolist() for i in range(budget)}])
        tell({i: l.tolist() for i, l in zip(range(budget), pool.purchase_labels(range(budget)))})
"""


@pytest.mark.parametrize("code", [RINGS, RAISES], ids=["signal", "thread"])
@pytest.mark.parametrize("tier", [ProcessSandbox, BubblewrapSandbox])
def test_no_interruption_gives_one_purchase_the_labels_of_another(code, tier, strategy, session, told, sets) -> None:
    if state(tier.name).reason:
        pytest.skip(state(tier.name).reason)
    result = session(strategy(code), sandbox=tier())
    assert result.verdict is Verdict.OK, result.reason
    (count, single), batch = told(result)
    assert count >= 90  # nearly every turn was interrupted, a good part of them in the wait for an answer
    sold = {str(purchase.index): list(purchase.label) for purchase in result.ledger}
    assert single == batch == sold


class Peer:
    """An evaluator's end that answers every request with the request's own text."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        self.channel = WorkerChannel(theirs.detach())
        self._reader = FrameReader()
        self.answering = threading.Event()
        self.answering.set()

    def answer(self) -> None:
        """Answer the requests that have come so far."""
        self._reader.feed(self.ours.recv(1 << 16))
        while (frame := self._reader.next()) is not None:
            message, blob = frame
            self.ours.sendall(encode({"t": "sold", "n": message["n"]}, blob))


class Interrupt(Exception):
    pass


@settings(max_examples=60, deadline=None)
@given(
    lost=st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 400)), min_size=1, max_size=4),
    last=st.binary(max_size=300),
)
def test_whatever_bytes_an_interruption_takes_the_next_answer_is_the_right_one(lost: list[tuple[bytes, int]], last: bytes) -> None:
    """An exception may take a part of an answer with it, from its beginning on, and may leave the rest on the way."""
    peer = Peer()
    receive = peer.channel._receive
    for blob, taken in lost:

        def interrupted(blob: bytes = blob, taken: int = taken) -> None:
            peer.answer()
            # What was read is gone with the exception; the rest still waits in the socket.
            if taken:
                peer.channel._socket.recv(taken)
            raise Interrupt

        peer.channel._receive = interrupted  # type: ignore[method-assign]
        with pytest.raises(Interrupt):
            peer.channel.request({"t": "buy"}, blob)

    def answered() -> None:
        if peer.answering.is_set():
            peer.answering.clear()
            peer.answer()
        receive()

    peer.channel._receive = answered  # type: ignore[method-assign]
    answer, blob = peer.channel.request({"t": "buy"}, last)
    assert (answer["n"], blob) == (len(lost) + 1, last)
    # And the order that comes next is taken for an order.
    peer.ours.sendall(encode({"t": "phase", "name": "x"}))
    peer.channel._receive = receive  # type: ignore[method-assign]
    assert peer.channel.receive()[0] == {"t": "phase", "name": "x"}


def test_a_large_request_that_was_cut_off_closes_the_channel_for_good_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer()

    class Cut:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(real, name)

        def sendall(self, frame: bytes) -> None:
            raise Interrupt

    real = peer.channel._socket
    peer.channel._socket = Cut()  # type: ignore[assignment]
    with pytest.raises(Interrupt):
        peer.channel.request({"t": "buy"}, np.arange(10_000).tobytes())
    with pytest.raises(ChannelBroken, match="interrupted while it was sent"):
        peer.channel.request({"t": "buy"}, b"")


def test_answers_and_orders_are_told_apart_by_the_number() -> None:
    reader = FrameReader()
    for frame in ({"t": "sold", "n": 1}, {"t": "sold", "n": 2}):
        reader.feed(encode(frame, b"labels"))
    assert reader.last(1) is None
    assert reader.last(None) is None
    assert reader.last(2) == ({"t": "sold", "n": 2}, b"labels")
    assert reader.pending == 0
    reader.feed(json.dumps([1]).encode())
    assert reader.last(None) is None
