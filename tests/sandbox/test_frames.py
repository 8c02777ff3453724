"""The private channel: frames survive any cut, nothing over a cap is waited for, and nothing but the fixed schema gets through."""

import json
import socket
import struct
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.purchase.messages import SCHEMA
from evaluator.sandbox.channel import ChannelEnded, ChannelTimeout, HostChannel, ProtocolError, Schema
from evaluator.sandbox.conversation import ANSWERS
from evaluator.worker.channel import ChannelClosed, WorkerChannel
from evaluator.worker.frames import BLOB_CAP, HEADER_CAP, FrameError, FrameReader, encode

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
messages = st.tuples(
    st.dictionaries(st.text(max_size=8), values, max_size=4).map(lambda m: {**m, "t": "x"}), st.binary(max_size=200)
)


@given(st.lists(messages, max_size=6), st.lists(st.integers(1, 50), min_size=1))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(sent, sizes):
    stream = b"".join(encode(message, blob) for message, blob in sent)
    reader, received, turn = FrameReader(), [], 0
    while stream:
        size = sizes[turn % len(sizes)]
        turn += 1
        reader.feed(stream[:size])
        stream = stream[size:]
        while (frame := reader.next()) is not None:
            received.append(frame)
    assert received == sent
    assert reader.pending == 0


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_refused_and_never_hold_memory(data):
    reader = FrameReader(header_cap=64, blob_cap=64)
    reader.feed(data)
    try:
        while (frame := reader.next()) is not None:
            assert isinstance(frame[0]["t"], str)
    except FrameError:
        return
    assert reader.pending < 8 + 64 + 64


@pytest.mark.parametrize(("header", "blob"), [(HEADER_CAP + 1, 0), (2, BLOB_CAP + 1), (2**32 - 1, 2**32 - 1)])
def test_a_length_over_its_cap_is_refused_before_its_bytes_are_waited_for(header, blob):
    reader = FrameReader()
    reader.feed(struct.pack("!II", header, blob))
    with pytest.raises(FrameError, match="caps"):
        reader.next()


@pytest.mark.parametrize("message", [{"t": "x", "text": "a" * HEADER_CAP}, {"t": "x"}])
def test_what_is_over_a_cap_cannot_be_sent(message):
    with pytest.raises(FrameError, match="caps"):
        encode(message, b"" if len(message) == 2 else bytes(BLOB_CAP + 1))


@pytest.mark.parametrize("header", [b"{", b"[]", b"3", b"{}", b'{"t":3}', b'{"u":"x"}', b"\xff\xfe", b"[" * 100_000])
def test_a_header_that_is_no_message_is_refused(header):
    reader = FrameReader()
    reader.feed(struct.pack("!II", len(header), 0) + header)
    with pytest.raises(FrameError):
        reader.next()


def test_a_number_that_json_has_not_is_not_sent():
    with pytest.raises(ValueError, match=r"[Oo]ut of range"):
        encode({"t": "progress", "fraction": float("nan")})


@pytest.fixture
def pair():
    """The evaluator's channel, and the bare socket of a worker that may say anything."""
    ours, theirs = socket.socketpair()
    host = HostChannel(ours, ANSWERS | SCHEMA)
    yield host, theirs
    host.close()
    theirs.close()


def frame(text: str, blob: bytes = b"") -> bytes:
    return struct.pack("!II", len(text), len(blob)) + text.encode() + blob


def soon() -> float:
    return time.monotonic() + 20


GOOD = [
    {"t": "hello", "pid": 3, "numpy": "2", "python": "3"},
    {"t": "buy"},
    {"t": "progress", "fraction": 1},
    {"t": "progress", "fraction": 0.5},
    {"t": "failed", "error": "E", "message": "m", "trace": ""},
    {"t": "done"},
    {"t": "done", "class": "X", "saves": True, "loads": False},
    {"t": "done", "shape": [1, 2]},
]


@pytest.mark.parametrize("message", GOOD, ids=json.dumps)
def test_messages_of_the_schema_pass(pair, message):
    host, worker = pair
    worker.sendall(encode(message, b"abc"))
    got = host.receive(soon())
    assert {"t": got.kind, **got.fields} == message
    assert got.blob == b"abc"


@pytest.mark.parametrize(
    "text",
    [
        '{"t":"sell"}',
        '{"t":"sold","remaining":9}',
        '{"t":"buy","index":3}',
        '{"t":"progress"}',
        '{"t":"progress","fraction":NaN}',
        '{"t":"progress","fraction":Infinity}',
        '{"t":"progress","fraction":true}',
        '{"t":"progress","fraction":"1"}',
        '{"t":"hello","pid":true,"numpy":"","python":""}',
        '{"t":"failed","error":"E","message":null,"trace":""}',
        '{"t":"done","saves":1}',
        '{"t":"done","n":1.0}',
        '{"t":"done","score":1}',
        "not json",
    ],
)
def test_anything_else_is_a_protocol_error(pair, text):
    host, worker = pair
    worker.sendall(frame(text))
    with pytest.raises(ProtocolError):
        host.receive(soon())


def test_texts_of_a_worker_are_cut_and_cannot_steer_a_terminal(pair):
    host, worker = pair
    said = {"error": "E" * 10_000, "message": "\x1b[2J\x07red\u202e\n\tä", "trace": "t" * 30_000, "full_trace": "\x1b" * 21_000}
    worker.sendall(encode({"t": "failed", **said}))
    got = host.receive(soon()).fields
    assert len(got["error"]) == 4_000
    assert len(got["trace"]) == 20_000
    assert got["full_trace"] == "\\x1b" * 20_000
    assert got["message"] == "\\x1b[2J\\x07red\\u202e\n\tä"


def test_reading_ends_at_its_deadline_also_in_the_middle_of_a_frame(pair):
    host, worker = pair
    worker.sendall(frame('{"t":"buy"}')[:-3])
    with pytest.raises(ChannelTimeout):
        host.receive(time.monotonic() + 0.05)


def test_sending_to_a_worker_that_does_not_read_ends_at_its_deadline(pair):
    host, _ = pair
    with pytest.raises(ChannelTimeout):
        host.send({"t": "phase"}, bytes(8_000_000), deadline=time.monotonic() + 0.05)


def test_a_closed_end_is_noticed_by_both_verbs(pair):
    host, worker = pair
    worker.close()
    with pytest.raises(ChannelEnded):
        host.receive(soon())
    with pytest.raises(ChannelEnded):
        host.send({"t": "phase"}, bytes(8_000_000), deadline=soon())


def test_answers_to_many_threads_never_change_places():
    ours, theirs = socket.socketpair()
    schema = SCHEMA | Schema(optional={"buy": {"n": int}})
    host, worker = HostChannel(ours, schema), WorkerChannel(theirs.detach())

    def echo():
        while True:
            try:
                message = host.receive(soon())
            except ChannelEnded:
                return
            host.send({"t": "sold", "n": message.fields["n"]}, message.blob, deadline=soon())

    server = threading.Thread(target=echo)
    server.start()
    wrong = []

    def ask(name: int):
        for i in range(50):
            blob = np.array([name, i]).tobytes()
            if worker.request({"t": "buy"}, blob)[1] != blob:
                wrong.append((name, i))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worker._socket.close()
    server.join()
    host.close()
    assert not wrong


def test_a_worker_whose_evaluator_is_gone_is_told():
    ours, theirs = socket.socketpair()
    worker = WorkerChannel(theirs.detach())
    ours.close()
    with pytest.raises(ChannelClosed):
        worker.request({"t": "buy"})
    worker._socket.close()
