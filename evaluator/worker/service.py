"""The worker's service loop: waits for orders on the channel, runs the participant's hooks, and answers.

Orders: ``load``, ``phase``, ``save``, ``load_state``, ``exit``. What a phase is given and what its answer says is the track's part,
named in the order to load.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .channel import ChannelClosed, WorkerChannel
from .failures import failure
from .frames import PART
from .loader import find_class, inherits, load_entry
from .phases import check_runs, keywords_for
from .plain import kind_of
from .stacks import stacks_before
from .tracks import TRACKS

ALWAYS = ("time_available", "register_progress", "seed")
"""Arguments that every hook is offered."""

Answer = tuple[dict[str, Any], bytes]
"""A message to the evaluator, and its binary part."""


class Track:
    """The hooks of one track. Subclassed once per track; one object per worker.

    A hook in ``hooks`` has a method of the same name here, ``(order, arrays) -> Answer``, that calls it: ``order`` is the
    evaluator's message, ``arrays`` what came with it by name.

    Attributes:
        hooks: names of the methods that a submission's class must have; the phases.
        marker: the hook by which the submission's class is found.
        interface: the kit's module that participants import their base class from.
        base: name of that base class.
        aliases: per argument that a hook is offered, the names under which a hook may ask for it.
        offers: per hook, the arguments that it is offered beside those of ``ALWAYS``; a hook that is not listed is not checked
            before it runs.
        submitted: whether a submission's class has the hooks. If not, they are the kit's own, and no submission is imported.
    """

    hooks: ClassVar[tuple[str, ...]]
    marker: ClassVar[str]
    interface: ClassVar[str]
    base: ClassVar[str]
    aliases: ClassVar[Mapping[str, tuple[str, ...]]]
    offers: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    submitted: ClassVar[bool] = True

    def __init__(self, service: Service) -> None:
        self.service = service

    def run(self, hook: str, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Run one phase.

        Raises:
            ValueError: the track has no such hook.
        """
        if hook not in self.hooks:
            raise ValueError(f"there is no phase {hook!r}; the phases are {', '.join(self.hooks)}")
        return getattr(self, hook)(order, arrays)


def track_named(name: str, tracks: Mapping[str, str] = TRACKS) -> type[Track]:
    """The track of a name in the table.

    Raises:
        ValueError: the table has no such name.
    """
    if name not in tracks:
        raise ValueError(f"there is no track {name!r}; known: {', '.join(tracks)}")
    return importlib.import_module(tracks[name], __package__).TRACK


class Service:
    """One participant's object and the orders it is given.

    Args:
        channel: to the evaluator.
        tracks: module of every track that can be named in the order to load.
        failed: called with every exception of the participant's code, before the evaluator is told of it.

    Attributes:
        participant: the object whose hooks are called; ``track``: the hooks. Both are None until a submission is loaded.
        clock_was_read: a hook of the participant has been given the time it has.
    """

    def __init__(
        self,
        channel: WorkerChannel,
        tracks: Mapping[str, str] = TRACKS,
        failed: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self.channel = channel
        self.participant: Any = None
        self.track: Track | None = None
        self.clock_was_read = False
        self._failed = failed
        self._tracks = tracks
        # Of the start: a participant may change the variable, and the folder stays where it is.
        self._home = os.path.expanduser("~")
        self._folder = Path()

    def serve(self) -> None:
        """Answer orders until ``exit``.

        Raises:
            ChannelClosed: the evaluator has closed the channel.
        """
        self.channel.send({"t": "hello", "pid": os.getpid(), "numpy": np.__version__, "python": sys.version.split()[0]})
        while True:
            order, blob = self.channel.receive()
            if order["t"] == "exit":
                return
            try:
                with stacks_before(order.get("limit", 0.0)):
                    answer, payload = getattr(self, "on_" + order["t"])(order, blob)
            except ChannelClosed:
                raise
            except BaseException as error:  # SystemExit and KeyboardInterrupt of a participant are results too
                self._failed(error)
                answer, payload = failure(error), b""
            if os.getpid() != self.channel.pid:
                # A forked child that came back from the participant's code; the channel is its parent's.
                os._exit(0)
            _flush()
            self.channel.send(answer, payload)

    def on_load(self, order: dict[str, Any], _: bytes) -> Answer:
        """Import the submission; where the order names a track, make the participant's object."""
        path = Path(order["submission"])
        if "track" not in order:
            load_entry(path)
            return {"t": "done"}, b""
        with contextlib.suppress(RuntimeError):  # whoever needs it is told so
            checkpoint_folder(self._home)
        track = track_named(order["track"], self._tracks)
        self.track = track(self)
        if not track.submitted:
            return {"t": "done"}, b""
        self._folder = path if path.is_dir() else path.parent
        chosen = find_class(load_entry(path), self._folder, track.marker, track.base, track.interface)
        self.participant = chosen()
        for hook in track.hooks:
            check_method(chosen, self.participant, hook)
        missing = [hook for hook in track.hooks if getattr(self.participant, hook, None) is None]
        if missing:
            raise TypeError(f"{chosen.__name__} has no {', '.join(missing)}; it needs the methods {', '.join(track.hooks)}")
        return {
            "t": "done",
            "class": chosen.__name__,
            "saves": callable(getattr(self.participant, "save_checkpoint", None)),
            "loads": callable(getattr(self.participant, "load_checkpoint", None)),
        }, b""

    def on_phase(self, order: dict[str, Any], blob: bytes) -> Answer:
        """Run one of the track's phases."""
        if self.track is None:
            raise RuntimeError("a phase was ordered before a submission was loaded")
        return self.track.run(order["name"], order, arrays_in(order, blob))

    def on_save(self, order: dict[str, Any], _: bytes) -> Answer:
        """Let the participant write a checkpoint; where the next phase has another worker, hand over what it wrote."""
        folder = checkpoint_folder(self._home)
        _with_path(self.participant.save_checkpoint, folder)
        if order["hand_over"]:
            import tarfile

            send = _Parts(lambda part: self.channel.send({"t": "part"}, part))
            # In tarfile's own small records: it copies all that it has not yet passed on with every member.
            with tarfile.open(mode="w|", fileobj=send) as tar:
                # Some libraries add a suffix to the name that they are given, and so write beside the folder.
                for name in sorted(n for n in os.listdir(self._home) if n.startswith("checkpoint")):
                    tar.add(os.path.join(self._home, name), arcname=name)
            send.flush()
        return {"t": "done"}, b""

    def on_load_state(self, order: dict[str, Any], _: bytes) -> Answer:
        """Unpack a checkpoint, and let the participant read it back."""
        folder = checkpoint_folder(self._home)
        import tarfile

        received = (self.channel.receive()[1] for _ in range(order["parts"]))
        # What is unpacked here was packed by a worker of the same run, for a home that ends with this one.
        with tarfile.open(mode="r|", fileobj=_Received(received)) as tar:
            # As an attribute: Python 3.11 knows the argument from its fourth release on.
            tar.extraction_filter = lambda member, path: member
            tar.extractall(self._home)
        _with_path(self.participant.load_checkpoint, folder)
        return {"t": "done"}, b""

    def call(self, hook: str, order: dict[str, Any], **offered: Any) -> Any:
        """Call a hook of the participant with those of ``offered`` that it accepts; its return value.

        Every hook is offered ``time_available``, ``register_progress`` and ``seed`` besides.

        Raises:
            SignatureMismatch: it needs something that is not on offer.
            NotRun: it is a generator or a coroutine.
            Exception: whatever the participant's code raises goes through.
        """
        assert self.track is not None
        offered |= {"time_available": order["seconds"], "register_progress": self._progress, "seed": order["seed"]}
        bound = getattr(self.participant, hook)
        chosen = keywords_for(bound, offered, self.track.aliases)
        # The kit's own empty hooks take the time as well, and do nothing with it.
        if not inherits(type(self.participant), hook, self.track.base, self._folder):
            names = self.track.aliases.get("time_available", ("time_available",))
            self.clock_was_read |= any(name in chosen for name in names)
        check_runs(hook, bound)
        returned = bound(**chosen)
        check_runs(hook, returned)
        return returned

    def _progress(self, fraction: float = 0.0, *_: Any, **__: Any) -> None:
        """Tell the evaluator how much of the phase is done, 0 to 1. Never raises, whatever it is given."""
        try:
            value = float(fraction)
        except Exception:  # a progress line is not worth a phase
            return
        if os.getpid() == self.channel.pid and value == value:
            self.channel.send({"t": "progress", "fraction": min(1.0, max(0.0, value))})


def _flush() -> None:
    """Pass on what was printed. A submission may have replaced or closed the streams, and its objects may raise anything."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(BaseException):
            stream.flush()  # type: ignore[union-attr]


def check_method(kind: type, participant: Any, hook: str) -> None:
    """Refuse a hook that is there and is no method. A property is not asked for its value.

    Raises:
        TypeError: it is a property or a value.
    """
    value = inspect.getattr_static(kind, hook, None)
    if not isinstance(value, (property, functools.cached_property)):
        value = getattr(participant, hook, None)
        if value is None or callable(value):
            return
    raise TypeError(f"{hook} of the class {kind.__name__} is {kind_of(value)}; a method was expected. Write def {hook}(self, ...)")


def checkpoint_folder(home: str) -> str:
    """The folder for checkpoints, made if there is none.

    Raises:
        RuntimeError: the participant has put something else in its place.
    """
    folder = os.path.join(home, "checkpoint")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise RuntimeError(
            f"the folder for save_checkpoint cannot be made ({error.strerror}); leave 'checkpoint' in your home folder free"
        ) from None
    return folder


class _Parts(io.RawIOBase):
    """A file whose content is sent in pieces of ``PART`` bytes."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send, self._buffer = send, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._buffer += data
        while len(self._buffer) >= PART:
            self._send(bytes(self._buffer[:PART]))
            del self._buffer[:PART]
        return len(data)

    def flush(self) -> None:
        if self._buffer:
            self._send(bytes(self._buffer))
            self._buffer.clear()


class _Received(io.RawIOBase):
    """A file whose content arrives in pieces."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._parts, b""))
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _with_path(hook: Any, folder: str) -> None:
    # Submissions differ in whether the path is a folder or a file; a hook that opens the folder as a file gets a file in it.
    name = getattr(hook, "__name__", "the checkpoint hook")
    check_runs(name, hook)
    try:
        check_runs(name, hook(folder))
    except IsADirectoryError:
        hook(str(Path(folder) / "checkpoint"))
    except (RuntimeError, OSError) as error:
        if "is a directory" not in str(error).lower() and not isinstance(error, PermissionError):
            raise
        hook(str(Path(folder) / "checkpoint"))


def arrays_in(order: Mapping[str, Any], blob: bytes) -> dict[str, np.ndarray]:
    """The arrays that came with an order, by name; its member ``arrays`` lists name, type and size of each."""
    arrays, offset = {}, 0
    for name, dtype, count in order.get("arrays", []):
        arrays[name] = np.frombuffer(blob, dtype, count=count, offset=offset)
        offset += arrays[name].nbytes
    return arrays
