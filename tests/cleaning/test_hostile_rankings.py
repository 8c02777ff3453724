"""Submissions that attack the cleaning track: what ``rank`` may return, say and look for. The attacks on rooms, clocks and limits,
which every track shares, are those of ``tests/hostile``.

Each attack has a docstring that names it. A few run in the product, all of them in the endurance tests, and those that read files
in ``bubblewrap``, since ``process`` does not promise to hide the evaluator's files.
"""

import inspect
import itertools
import json
import re
import secrets
import textwrap

import numpy as np
import pytest

from evaluator.cleaning.cells import CleaningSpec, RankingAnswer
from evaluator.cleaning.embedded import Embedded
from evaluator.cleaning.session import SessionSpec, ranking_in, run_session
from evaluator.errors import Verdict
from evaluator.sandbox.bubblewrap import BubblewrapSandbox
from evaluator.sandbox.channel import Message
from evaluator.sandbox.conversation import Stopped
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tiers import state
from evaluator.worker.cleaning import LabelledRows, ranking_array
from evaluator.worker.phases import InvalidOutput

ROWS = 6


class Endless:
    """Gives numbers for ever."""

    def __iter__(self):
        return itertools.cycle(range(ROWS))


class Pretending:
    """Says that it is an array, and gives another at every look."""

    def __array__(self, *_, **__):
        raise MemoryError("made up")


class Detaching:
    """Is no tensor, and gives whatever is asked of one."""

    def __getattr__(self, name):
        return lambda *_: self

    def __iter__(self):
        raise RuntimeError("made up")


class Heavy(np.ndarray):
    """An array that lies about its length."""

    def __len__(self):
        return 10**15


RETURNED = {
    "an iterable without an end": Endless(),
    "a count without an end": itertools.count(),
    "an object that turns into an array": Pretending(),
    "an object that has every attribute": Detaching(),
    "an array of objects": np.full(ROWS, object(), object),
    "an array of texts": np.array(list("012345")),
    "a structured array": np.zeros(ROWS, [("row", "i8")]),
    "dates": np.arange(ROWS).astype("datetime64[D]"),
    "floats": np.arange(ROWS, dtype=np.float64),
    "not a number": [float("nan")] * ROWS,
    "infinity": np.full(ROWS, np.inf),
    "bools": np.ones(ROWS, bool),
    "a list of bools": [True, False] * (ROWS // 2),
    "negative rows": np.arange(-ROWS, 0),
    "a row that 32 bits do not hold": [2**32, *range(1, ROWS)],
    "a row that 64 bits do not hold": [2**64, *range(1, ROWS)],
    "unsigned rows beyond the last": np.full(ROWS, 2**63, np.uint64),
    "a number of ten thousand digits": [10**10_000, *range(1, ROWS)],
    "a table": np.arange(ROWS)[None],
    "no dimension": np.array(3),
    "nested lists": [[row] for row in range(ROWS)],
    "a dict": dict.fromkeys(range(ROWS)),
    "bytes": bytes(range(ROWS)),
    "a text": "012345",
    "a number": 3,
    "one row too many": range(ROWS + 1),
    "many rows too many": np.zeros(10**6, np.int64),
    "a huge range": range(10**15),
    "complex numbers": np.arange(ROWS) + 0j,
}


@pytest.mark.parametrize("what", RETURNED)
def test_what_is_no_ranking_is_refused_at_once(what):
    with pytest.raises(InvalidOutput) as caught:
        ranking_array(RETURNED[what], ROWS)
    assert len(str(caught.value)) < 1_000
    assert "a permutation of the rows 0 to 5 was expected" in str(caught.value)


def test_an_array_that_lies_about_itself_is_read_as_what_it_is():
    lying = np.arange(ROWS).view(Heavy)
    assert np.asarray(ranking_array(lying, ROWS)).tolist() == list(range(ROWS))


SENT = [
    ({"n": ROWS}, np.zeros(ROWS, np.uint32), Verdict.INVALID_OUTPUT, "the row 0 6 times"),
    ({"n": ROWS}, np.full(ROWS, 2**32 - 1, np.uint32), Verdict.INVALID_OUTPUT, "the row 4294967295, which there is not"),
    ({"n": ROWS}, np.arange(ROWS - 1, dtype=np.uint32), Verdict.PROTOCOL_ERROR, "20 bytes; expected 4 for each of 6 rows"),
    ({"n": ROWS}, np.arange(10 * ROWS, dtype=np.uint32), Verdict.PROTOCOL_ERROR, "240 bytes"),
    ({"n": -1}, np.arange(ROWS, dtype=np.uint32), Verdict.INVALID_OUTPUT, "-1 rows"),
    ({"n": 10**18}, np.arange(ROWS, dtype=np.uint32), Verdict.INVALID_OUTPUT, "rows"),
    ({}, np.arange(ROWS, dtype=np.uint32), Verdict.INVALID_OUTPUT, "rows"),
]


@pytest.mark.parametrize(("fields", "rows", "verdict", "said"), SENT)
def test_what_a_worker_says_is_checked_by_the_evaluator(fields, rows, verdict, said):
    with pytest.raises(Stopped) as caught:
        ranking_in(Message("done", fields, rows.tobytes()), ROWS)
    assert caught.value.verdict is verdict
    assert said in str(caught.value)


def test_rows_are_read_only_and_an_index_is_checked():
    rows = LabelledRows(np.zeros((3, 2), np.float32), np.arange(3), 3)
    assert [item["idx"] for item in rows] == [0, 1, 2]
    assert rows[-1]["label"] == 2
    for bad, said in ((3, "has 3 rows"), (-4, "has 3 rows"), (True, "bool"), (0.0, "float"), (10**30, "out of range")):
        with pytest.raises((IndexError, TypeError), match=said):
            rows[bad]


# -- whole sessions. Every function below is an attack; its body is that of a submission's ``rank``, with ``found`` to print.


def labels_in_memory(training_set, validation_set):
    """Look for true labels in every object of the process."""
    import gc
    import json

    import numpy as np

    wanted = json.loads("[@TRUE@]")
    for thing in gc.get_objects():
        for value in (thing, *getattr(thing, "__dict__", {}).values()) if not isinstance(thing, type) else ():
            if isinstance(value, np.ndarray) and value.size == len(wanted) and value.ravel().astype(int).tolist() == wanted:
                print("FOUND labels")
    return range(len(training_set))


def labels_in_files(training_set, validation_set):
    """Read the table of true labels where it lies, by descriptors, by the kit's folder, by other processes."""
    import glob
    import os

    places = ["@TABLE@", *glob.glob("/proc/*/fd/*"), *glob.glob("/proc/*/environ"), *glob.glob("/proc/*/cwd/*")]
    for path in places:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                if b"@TOKEN@" in file.read(1 << 20):
                    print("FOUND", "labels")
        except OSError:
            pass
    return range(len(training_set))


def arrays_changed(training_set, validation_set):
    """Write into the arrays that were given, by every way round their lock."""
    import ctypes

    import numpy as np
    import torch

    for array in (training_set.rows, training_set.labels, validation_set.rows, validation_set.labels):
        torch.from_numpy(array)[:] = 7
        try:
            array.flags.writeable = True
            array[:] = 7
        except ValueError:
            ctypes.memset(array.ctypes.data, 7, array.nbytes)
        assert np.all(array != 0)
    return range(len(training_set))


def channel_talks(training_set, validation_set):
    """Send messages of another kind, and of another track, on the channel."""
    import gc

    from evaluator.worker.channel import WorkerChannel

    line = next(thing for thing in gc.get_objects() if isinstance(thing, WorkerChannel))
    line.send({"t": "verdict", "score": 0.0})
    return range(len(training_set))


def channel_forges(training_set, validation_set):
    """Say that it is done before it is, with a ranking of another length, and then return a good ranking."""
    import gc

    from evaluator.worker.channel import WorkerChannel

    line = next(thing for thing in gc.get_objects() if isinstance(thing, WorkerChannel))
    line.send({"t": "done", "n": len(training_set), "clock": False}, b"\0" * 12)
    return range(len(training_set))


def channel_claims(training_set, validation_set):
    """Say that its ranking was another: what counts is the first that it sends, which is its own answer and nobody else's."""
    import gc

    import numpy as np

    from evaluator.worker.channel import WorkerChannel

    line = next(thing for thing in gc.get_objects() if isinstance(thing, WorkerChannel))
    own = np.arange(len(training_set))[::-1].astype(np.uint32)
    line.send({"t": "done", "n": len(own), "clock": False, "cell": "0" * 32, "submission": "random"}, own.tobytes())
    return range(len(training_set))


def time_taken(training_set, validation_set):
    """Take all the time that there is, and more."""
    import time

    try:
        time.sleep(60)
    finally:
        time.sleep(60)
    return range(len(training_set))


def lazily(training_set, validation_set):
    """Return something that computes the ranking when it is looked at, and never ends."""
    import itertools

    class Later:
        def __iter__(self):
            return itertools.cycle([0])

    return Later()


def endless_lookups(training_set, validation_set):
    """Return a sequence whose every element takes for ever."""
    import time

    class Slow:
        def __index__(self):
            time.sleep(60)
            return 0

    return [Slow() for _ in range(len(training_set))]


def steering(training_set, validation_set):
    """Steer the terminal by a message and by the name of what is returned."""
    raise type("\x1b[2J\u202e", (ValueError,), {})("\x1b]0;owned\x07")


ATTACKS = {
    labels_in_memory: {Verdict.OK},
    arrays_changed: {Verdict.OK},
    channel_talks: {Verdict.PROTOCOL_ERROR},
    channel_forges: {Verdict.PROTOCOL_ERROR, Verdict.INVALID_OUTPUT},
    channel_claims: {Verdict.OK, Verdict.PROTOCOL_ERROR},
    time_taken: {Verdict.TIME_LIMIT},
    lazily: {Verdict.INVALID_OUTPUT},
    endless_lookups: {Verdict.TIME_LIMIT},
    steering: {Verdict.RUNTIME_ERROR},
}
"""What the process tier stops, too, and the verdicts that it may end with."""
FAST = (labels_in_memory, channel_claims, lazily)
TASK = "digits-4v9-uniform-0.2"
SEEN_ROWS = 40


def attacked(attack, sandbox, tmp_path, seconds=20.0, **words):
    """The result of a session of an attack, and the task as it is afterwards."""
    task = Embedded.parse(TASK).drawn(1, 0, SEEN_ROWS, 20, 30)
    before = task.digest()
    source = textwrap.dedent(inspect.getsource(attack)).replace("(training_set", "(self, training_set", 1)
    source = source.replace(f"def {attack.__name__}", "def rank")
    for word, value in ({"TRUE": ", ".join(map(str, task.true))} | words).items():
        source = source.replace(f"@{word}@", str(value))
    folder = tmp_path / "attack"
    folder.mkdir()
    (folder / "run.py").write_text("class Attack:\n" + textwrap.indent(source, "    "))
    found = run_session(SessionSpec(folder, task, seconds=seconds, load_seconds=60.0, seed=3), sandbox)
    assert task.digest() == before, "what the judge holds was changed"
    return found


@pytest.mark.parametrize(
    "attack",
    [pytest.param(a, id=a.__name__, marks=() if a in FAST else pytest.mark.endurance) for a in ATTACKS],
)
def test_an_attack_gets_its_verdict_and_nothing_else(attack, tmp_path):
    assert attack.__doc__
    seconds = 1.0 if Verdict.TIME_LIMIT in ATTACKS[attack] else 20.0
    found = attacked(attack, ProcessSandbox(), tmp_path, seconds)
    assert found.verdict in ATTACKS[attack], found.reason
    assert "FOUND" not in found.log
    assert not re.search(r"[\x1b\u202e]", found.reason + json.dumps(found.trace, ensure_ascii=False))
    if found.verdict is Verdict.OK:
        assert sorted(found.ranking.tolist()) == list(range(SEEN_ROWS))
        assert found.guarded
    else:
        assert found.ranking is None
        assert sum(phase.seconds for phase in found.phases) < seconds + 10


@pytest.mark.endurance
def test_true_labels_cannot_be_read_from_files_in_a_room(tmp_path):
    if reason := state("bubblewrap").reason:
        pytest.skip(reason)
    token = secrets.token_hex(16)
    table = tmp_path / "dataset_t_train.csv"
    table.write_text(f"ImageID,hv_label\n{token},1\n")
    found = attacked(labels_in_files, BubblewrapSandbox(), tmp_path, TABLE=table, TOKEN=token)
    assert found.verdict is Verdict.OK, found.reason
    assert "FOUND labels" not in found.log


@pytest.mark.parametrize(
    "content",
    [
        {"ranking": [2**31, *range(1, 6)]},
        {"ranking": [float("nan")] * 6},
        {"ranking": [[0], [1]]},
        {"ranking": {"0": 1}},
        {"edits": [[0, 2**31]]},
        {"edits": [[0, float("nan")]]},
        {"edits": [[[0], 1]]},
    ],
)
def test_a_stored_answer_that_somebody_edited_is_not_judged(content):
    made = RankingAnswer(digest="0" * 32, spec={}, content=content)
    assert made.fault(CleaningSpec) != ""
