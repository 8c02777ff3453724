"""Submissions that attack the curation track: what ``curate`` may look for, return, change, print and leave behind. The attacks on
rooms, clocks and limits, which every track shares, are those of ``tests/hostile``; hostile image files are those of
``tests/sandbox/test_foreign.py`` and ``test_submitted.py``.

Each attack has a docstring that names it, and a verdict; docs/threat-model.md shows both. A few run in the product, all of them in
the endurance tests, and those that read or write files in ``bubblewrap``, since ``process`` does not promise to hide files.
"""

import hashlib
import inspect
import json
import os
import re
import secrets
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.curation.curated import pixel_digest
from evaluator.curation.folders import write_data
from evaluator.curation.judge import checked
from evaluator.curation.rules import PROFILES
from evaluator.curation.session import SessionSpec, run_session
from evaluator.curation.trial import made_up
from evaluator.errors import DataError, Verdict
from evaluator.sandbox.bubblewrap import BubblewrapSandbox
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tiers import state

ROOT = Path(__file__).resolve().parents[2]
OK, INVALID = Verdict.OK, Verdict.INVALID_OUTPUT
LIMITS = Limits(memory=400 << 20, processes=48, disk=32 << 20, files=1_000)


# -- every function below is an attack; its body is that of a submission's ``curate`` --------------------------------------------


def hidden_images_in_memory(dataset, label_book):
    """Look for hidden images in every object, descriptor and page of the process."""
    import gc
    import os
    import re

    wanted = bytes.fromhex("@HIDDEN@")
    for thing in gc.get_objects():
        try:
            found = wanted in memoryview(thing).cast("B").tobytes()
        except (TypeError, ValueError):
            continue
        if found and thing is not wanted:
            print("FOUND in an object")
    for number in os.listdir("/proc/self/fd"):
        try:
            if wanted in os.pread(int(number), 1 << 26, 0):
                print("FOUND behind a descriptor")
        except OSError:
            pass
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            begin, end, rest = re.match(r"(\w+)-(\w+) (.*)", line).groups()
            if "memfd" in rest:
                memory.seek(int(begin, 16))
                if wanted in memory.read(int(end, 16) - int(begin, 16)):
                    print("FOUND in a mapped file")
    return []


def hidden_images_in_files(dataset, label_book):
    """Read the hidden test set, earlier results and the evaluator's environment where they lie."""
    import glob
    import os

    house = "@HOUSE@"
    places = [*glob.glob(f"{house}/**", recursive=True), *glob.glob("/proc/*/fd/*"), *glob.glob("/proc/*/environ")]
    for path in [*places, *glob.glob("/proc/*/cwd/*"), f"{house}/results/earlier.json", f"{house}/data/test/i/0.png"]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                content = file.read(1 << 20)
        except OSError:
            continue
        if b"@TOKEN@" in content or "data/test" in path:
            print("FOUND", path)
    return []


def evaluators_folder_written(dataset, label_book):
    """Write into the evaluator's folders: results, hidden images, the kit."""
    import os
    import sys

    kit = os.path.dirname(os.path.dirname(sys.modules["_dck_worker.channel"].__file__))
    for path in ("@HOUSE@/results/earlier.json", "@HOUSE@/results/new.json", "@HOUSE@/data/test/i/0.png", f"{kit}/owned.py"):
        try:
            with open(path, "wb") as file:
                file.write(b"owned")
            print("FOUND a way to write", path)
        except OSError:
            pass
    return []


def ids_that_are_not_there(dataset, label_book):
    """Return edits of images that there are not, among them hidden ones."""
    return [{"id": "test/i/0.png", "action": "relabel", "label": "x"}, {"id": "train/i/77.png", "action": "drop"}]


def hidden_images_added(dataset, label_book):
    """Add an image of the hidden test set to train, as colour, under another name."""
    import numpy as np

    gray = np.frombuffer(bytes.fromhex("@HIDDEN@"), np.uint8).reshape(20, -1)
    return [{"id": "train/i/mine.png", "action": "add", "label": "i", "split": "train", "image": np.dstack([gray] * 3)}]


def label_book_added(dataset, label_book):
    """Add the label book to train."""
    return [
        {"id": f"train/{row['label']}/b{n}.png", "action": "add", "label": row["label"], "split": "train", "image": row["image"]}
        for n, row in enumerate(label_book)
    ]


def shared_memory_views(dataset, label_book):
    """Add images that are views of shared memory, which another process goes on changing."""
    import multiprocessing.shared_memory
    import os

    import numpy as np

    block = multiprocessing.shared_memory.SharedMemory(create=True, size=400)
    if os.fork() == 0:
        while True:
            block.buf[:] = os.urandom(400)
    dataset.block = block  # the view does not keep it
    image = np.ndarray((20, 20), np.uint8, block.buf)
    view = np.lib.stride_tricks.as_strided(dataset.image(0), (20, 20), (0, 0))
    return [
        {"id": f"train/i/view{n}.png", "action": "add", "label": "i", "split": "train", "image": array}
        for n, array in enumerate((image, view, dataset.image(0)[::-1]))
    ]


def arrays_that_lie(dataset, label_book):
    """Add arrays of a subclass that lies about its size, type and bytes, and objects that change whenever they are read."""
    import numpy as np

    class Lying(np.ndarray):
        size = property(lambda self: 1)
        nbytes = property(lambda self: 1)
        dtype = property(lambda self: np.dtype(object))

        def tobytes(self, *_):
            return b"x" * (1 << 30)

    class Turning:
        def __init__(self):
            self.looks = 0

        def __array__(self, *_, **__):
            self.looks += 1
            return np.full((20, 20), self.looks, np.uint8)

    return [
        {"id": f"train/i/lie{n}.png", "action": "add", "label": "i", "split": "train", "image": image}
        for n, image in enumerate((np.zeros((20, 20), np.uint8).view(Lying), Turning()))
    ]


def rows_that_lie(dataset, label_book):
    """Return rows whose texts and dicts are other at every look."""

    class Text(str):
        def __str__(self):
            return "../../owned"

        def __len__(self):
            return 10**9

    class Row(dict):
        looks = 0

        def get(self, key, default=None):
            Row.looks += 1
            return Text(f"train/i/{Row.looks}.png") if key == "id" else Text("drop") if key == "action" else None

    return [Row(id="train/i/0.png", action="drop")]


def forks(dataset, label_book):
    """Return from several processes at once, and leave some of them running."""
    import os
    import time

    for _ in range(4):
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(600)
            return [{"id": "train/i/0.png", "action": "relabel", "label": "x"}]
    return [{"id": "train/i/0.png", "action": "drop"}]


def fork_bomb(dataset, label_book):
    """Fork without end."""
    import os
    import time

    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.1)


def memory_exhausted(dataset, label_book):
    """Take all memory."""
    taken = []
    while True:
        taken.append(bytearray(b"x" * (32 << 20)))


def time_exhausted(dataset, label_book, register_progress):
    """Compute without end, and say that it is nearly done."""
    while True:
        register_progress(0.99)


def gigabytes_printed(dataset, label_book):
    """Print a gigabyte, with characters that steer a terminal."""
    import os

    line = b"\x1b[2J\x1b]0;owned\x07" + b"x" * (1 << 20)
    for _ in range(1 << 10):
        os.write(1, line)
    return []


def pickled(dataset, label_book):
    """Return an object that runs a command when it is unpickled."""
    import os

    class Command:
        def __reduce__(self):
            return os.system, ("touch @HOUSE@/results/owned",)

    return [Command()]


def data_changed_in_place(dataset, label_book):
    """Change images, labels and names of the data set in place, by every way round their lock."""
    import ctypes

    import torch

    for part in (dataset, label_book):
        for image in part.images:
            torch.from_numpy(image)[:] = 7
        ctypes.memset(part.image(0).ctypes.data, 9, part.image(0).nbytes)
        part.labels[:] = 0
        part.ids = part.ids[::-1]
        part.classes = ("x",)
    return []


def generator_without_end(dataset, label_book):
    """Be a generator that never ends."""
    while True:
        yield {"id": "train/i/0.png", "action": "drop"}


def list_without_end(dataset, label_book):
    """Return a list that is read without end."""
    import itertools

    class Endless(list):
        def __iter__(self):
            return ({"id": str(number), "action": "drop"} for number in itertools.count())

    return Endless()


def frame_without_end(dataset, label_book):
    """Return something that says it is a data frame, and gives rows without end."""
    import itertools

    class Frame:
        columns = ()

        def to_dict(self, how):
            return itertools.repeat({"id": "train/i/0.png", "action": "drop"})

    return Frame()


def not_a_number(dataset, label_book):
    """Return edits with NaN in the place of a text."""
    return [{"id": float("nan"), "action": "drop"}]


def nothing_in_cells(dataset, label_book):
    """Return edits with None in every cell."""
    return [{"id": None, "action": None, "label": None, "split": None}]


def control_characters(dataset, label_book):
    """Return names with characters that steer a terminal."""
    return [{"id": "train/i/\x1b[2J\u202e.png", "action": "drop"}]


def paths_out_of_the_folder(dataset, label_book):
    """Add an image whose name leaves the folder."""
    image = dataset.image(0) + 1
    return [{"id": "train/../../../etc/owned.png", "action": "add", "label": "i", "split": "train", "image": image}]


def texts_of_megabytes(dataset, label_book):
    """Return twenty thousand rows of a text of a megabyte."""
    text = "x" * 10**6
    return [{"id": text, "action": "drop", "label": text, "split": text}] * 20_000


def too_many_images(dataset, label_book):
    """Add more images than the rules allow."""
    import numpy as np

    return [
        {
            "id": f"train/i/m{n}.png",
            "action": "add",
            "label": "i",
            "split": "train",
            "image": np.array([[n % 256, n // 256]], np.uint8),
        }
        for n in range(9_990)
    ]


def pixels_of_gigabytes(dataset, label_book):
    """Add an image of gigabytes that takes no memory here."""
    import numpy as np

    flat = np.broadcast_to(np.uint8(7), (1 << 16, 1 << 16))
    return [{"id": "train/i/n.png", "action": "add", "label": "i", "split": "train", "image": flat}]


def every_image_dropped(dataset, label_book):
    """Drop every image of a split."""
    return [{"id": name, "action": "drop"} for name, split in zip(dataset.ids, dataset.splits, strict=True) if split == "val"]


def answer_forged(dataset, label_book):
    """Say that it is done before it is, with rows that are not those announced."""
    import gc

    from evaluator.worker.channel import WorkerChannel

    line = next(thing for thing in gc.get_objects() if isinstance(thing, WorkerChannel))
    line.send({"t": "done", "rows": 10**6, "added": 0, "clock": False}, b"\0\0\0\x02[]")
    return []


def score_claimed(dataset, label_book):
    """Send a score on the channel."""
    import gc

    from evaluator.worker.channel import WorkerChannel

    line = next(thing for thing in gc.get_objects() if isinstance(thing, WorkerChannel))
    line.send({"t": "done", "rows": 0, "added": 0, "accuracy": 1.0}, b"\0\0\0\x02[]")
    return []


def process_ended(dataset, label_book):
    """End the process as if all were well."""
    import os

    os._exit(0)


def evaluator_killed(dataset, label_book):
    """Kill every process that it may signal."""
    import os
    import signal

    os.kill(os.getppid(), signal.SIGKILL)
    return []


def room_left_behind(dataset, label_book):
    """Leave files, shared memory and a listener for the next run."""
    import multiprocessing.shared_memory
    import os
    import socket

    multiprocessing.shared_memory.SharedMemory("@MARK@", create=True, size=64)
    with open(os.path.expanduser("~/@MARK@"), "w") as file:
        file.write("x")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0@MARK@")
    return []


ATTACKS = {
    hidden_images_in_memory: {OK},
    ids_that_are_not_there: {INVALID},
    hidden_images_added: {INVALID},
    label_book_added: {INVALID},
    shared_memory_views: {OK},
    arrays_that_lie: {OK},
    rows_that_lie: {INVALID},
    forks: {OK},
    fork_bomb: {Verdict.RUNTIME_ERROR, Verdict.TIME_LIMIT},
    memory_exhausted: {Verdict.MEMORY_LIMIT},
    time_exhausted: {Verdict.TIME_LIMIT},
    gigabytes_printed: {OK, Verdict.TIME_LIMIT},
    pickled: {INVALID},
    data_changed_in_place: {OK},
    generator_without_end: {INVALID},
    list_without_end: {INVALID},
    frame_without_end: {INVALID},
    not_a_number: {INVALID},
    nothing_in_cells: {INVALID},
    control_characters: {INVALID},
    paths_out_of_the_folder: {INVALID},
    texts_of_megabytes: {INVALID},
    too_many_images: {INVALID},
    pixels_of_gigabytes: {INVALID},
    every_image_dropped: {INVALID},
    answer_forged: {Verdict.PROTOCOL_ERROR},
    score_claimed: {Verdict.PROTOCOL_ERROR},
    process_ended: {Verdict.RUNTIME_ERROR},
}
"""What the process tier stops, too, and the verdicts that it may end with."""
IN_A_ROOM = {
    hidden_images_in_files: {OK},
    evaluators_folder_written: {OK},
    evaluator_killed: {OK, Verdict.RUNTIME_ERROR},
    room_left_behind: {OK},
}
"""What only a room of its own stops."""
FAST = (hidden_images_in_memory, arrays_that_lie, hidden_images_added)


def attacked(attack, sandbox, tmp_path, seconds):
    """The verdict over an attack, its reason, the session's result, and the data set that came of it."""
    data = made_up(secrets.randbits(32))
    write_data(data, tmp_path / "house" / "data")
    (tmp_path / "house" / "results").mkdir()
    token, mark = secrets.token_hex(16), f"mark-{secrets.token_hex(8)}"
    (tmp_path / "house" / "results" / "earlier.json").write_text(token)
    before = data.digest, tree(tmp_path / "house"), tree(ROOT / "evaluator" / "worker")
    words = {"HIDDEN": data.test.pixels[3].tobytes().hex(), "HOUSE": tmp_path / "house", "TOKEN": token, "MARK": mark}
    source = textwrap.dedent(inspect.getsource(attack)).replace("(dataset", "(self, dataset", 1)
    source = source.replace(f"def {attack.__name__}", "def curate")
    for word, value in words.items():
        source = source.replace(f"@{word}@", str(value))
    folder = tmp_path / "attack"
    folder.mkdir()
    (folder / "run.py").write_text("class Attack:\n" + textwrap.indent(source, "    "))
    os.environ["TOKEN_OF_THE_JUDGE"] = token
    try:
        spec = SessionSpec(folder, data, seconds=seconds, load_seconds=60.0, seed=3, most_side=64, limits=LIMITS)
        found = run_session(spec, sandbox)
    finally:
        del os.environ["TOKEN_OF_THE_JUDGE"]
    fresh = replace(data)  # without what was computed before
    after = fresh.digest, tree(tmp_path / "house"), tree(ROOT / "evaluator" / "worker")
    assert after == before, "what the judge holds was changed"
    assert not (Path("/dev/shm") / mark).exists()
    verdict, reason = found.verdict, found.reason
    if found.curated is not None:
        try:
            checked(found.curated, data, PROFILES["numerals"])
        except DataError as error:
            verdict, reason = INVALID, str(error)
    return verdict, reason, found, data


def tree(folder):
    """Names and contents of the files below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def held(attack, verdicts, sandbox, tmp_path):
    """Run an attack, and hold what came of it against what must come."""
    seconds = 2.0 if verdicts == {Verdict.TIME_LIMIT} or attack is fork_bomb else 30.0
    verdict, reason, found, data = attacked(attack, sandbox, tmp_path, seconds)
    assert verdict in verdicts, reason
    assert "FOUND" not in found.log
    assert len(found.log) < 10_000_000
    assert not re.search(r"[\x1b\u202e\x07]", reason + json.dumps(found.trace, ensure_ascii=False))
    assert sum(phase.seconds for phase in found.phases) < seconds + 10
    hidden = {pixel_digest(pixels) for pixels in data.test.pixels}
    if verdict is OK:
        assert found.guarded
        assert not hidden & {row.source for row in found.curated.rows}
        assert len(found.curated.rows) >= 59
    elif found.curated is None:
        assert found.edits is None
    return found, data


@pytest.mark.parametrize(
    "attack",
    [pytest.param(a, id=a.__name__, marks=() if a in FAST else pytest.mark.endurance) for a in ATTACKS],
)
def test_an_attack_gets_its_verdict_and_nothing_else(attack, tmp_path):
    found, data = held(attack, ATTACKS[attack], ProcessSandbox(), tmp_path)
    if attack is data_changed_in_place:
        assert [(row.id, row.label) for row in found.curated.rows] == [(item.id, item.label) for item in data.items]
        assert not found.curated.new
    if attack is arrays_that_lie:
        assert len(found.curated.new) == 2
    if attack is forks:
        assert [edit.action for edit in found.edits] == ["drop"]


@pytest.mark.endurance
@pytest.mark.parametrize("attack", [pytest.param(a, id=a.__name__) for a in (*ATTACKS, *IN_A_ROOM)])
def test_a_room_stops_every_attack(attack, tmp_path):
    if reason := state("bubblewrap").reason:
        pytest.skip(reason)
    held(attack, (ATTACKS | IN_A_ROOM)[attack], BubblewrapSandbox(), tmp_path)


def test_the_page_of_threats_shows_every_attack_and_its_verdict():
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    for attack, verdicts in (ATTACKS | IN_A_ROOM).items():
        title = attack.__doc__.rstrip(".")
        row = next((line for line in text.splitlines() if line.startswith(f"| {title} |")), "")
        assert row.split("|")[2].strip().split(" or ") == sorted(map(str, verdicts)), title
