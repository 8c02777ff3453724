"""A Docker engine on this machine, spoken to over its own socket: its HTTP interface, with errors that say what to do.

The interface and not the command line: a command costs 50 ms and more to start, and a run needs five of them. Paths carry no
version, so that every engine answers in the newest version that it knows; only what all versions understand is used.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

DEFAULT_SOCKET = Path("/var/run/docker.sock")
MOST_LINE = 1 << 20
"""Bytes of a line of an answer that comes line by line."""
PATIENCE = 60.0
"""Seconds for one answer. An engine under load may take several for a container."""


class EngineError(OSError):
    """The engine refused; ``status`` is its HTTP status, and the message its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        super().__init__("engine", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Engine:
    """Requests to the engine behind a Unix socket. Threads may share it: each request has a connection of its own.

    Args:
        path: the engine's socket; None for the socket that ``DOCKER_HOST`` names, else the system's, else this user's.

    Raises:
        OSError: ``DOCKER_HOST`` names an engine of another machine, whose containers could not be given our files.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _usual_socket()

    def ask(self, method: str, path: str, body: Any = None, *, patience: float = PATIENCE, **query: Any) -> Any:
        """One request; what the engine answers, decoded (None for an empty answer).

        Args:
            body: sent as JSON. ``patience``: seconds for the answer.
            query: parameters of the address; values other than text are sent as JSON.

        Raises:
            OSError: no engine answers, or this user may not ask it. EngineError: it refused.
        """
        if query:
            path += "?" + urlencode({name: v if isinstance(v, str) else json.dumps(v) for name, v in query.items()})
        connection = _Connection(self.path, patience)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        except PermissionError as error:
            raise OSError(
                f"this user may not use the Docker engine at {self.path}: add the user to its group (usermod -aG docker NAME, and"
                " log in again), which gives the user the rights of root, or use a rootless Docker engine of the user's own"
            ) from error
        except (ConnectionError, FileNotFoundError, TimeoutError, http.client.HTTPException) as error:
            raise OSError(
                f"no Docker engine answers at {self.path} ({error}): install one (Debian: apt-get install docker.io) and start it"
                " (systemctl start docker), or name its socket: DOCKER_HOST=unix:///path/to/docker.sock"
            ) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineError(answer.status, f"the Docker engine refused: {_message(data)}")
        return _decoded(data)

    def stream(self, path: str, body: IO[bytes], seconds: float, **query: Any) -> Iterator[dict[str, Any]]:
        """Send a tar file and give what the engine answers, a member at a time, as it comes: a build.

        Args:
            body: read from where it stands; ``seconds``: largest duration of the whole. When the caller goes on no further, or the
                time is over, the connection ends, and with it the engine's work.

        Raises:
            TimeoutError: it took longer. OSError: no engine answers. EngineError: it refused.
        """
        deadline = time.monotonic() + seconds
        path += "?" + urlencode({name: v if isinstance(v, str) else json.dumps(v) for name, v in query.items()})
        connection = _Connection(self.path)
        try:
            connection.connect()
            sock = connection.sock
            size = body.seek(0, os.SEEK_END)
            body.seek(0)
            # An engine that refuses does not read to the end; its answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", path, body, {"Content-Type": "application/x-tar", "Content-Length": str(size)})
            sock.settimeout(max(0.01, deadline - time.monotonic()))
            answer = connection.getresponse()
            if answer.status >= 400:
                raise EngineError(answer.status, f"the Docker engine refused: {_message(answer.read(4096))}")
            while True:
                sock.settimeout(max(0.01, deadline - time.monotonic()))
                line = answer.readline(MOST_LINE)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the Docker engine took more than {seconds:g} s")
                if not line:
                    return
                if line.strip():
                    yield _row(line)
        except (ConnectionError, FileNotFoundError, http.client.HTTPException) as error:
            raise OSError(f"no Docker engine answers at {self.path} ({error})") from error
        finally:
            connection.close()

    def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows about an image, or None where it has no image of that name."""
        try:
            return self.ask("GET", f"/images/{quote(name, safe='/:@')}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise


def _usual_socket() -> Path:
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        scheme, _, path = host.partition("://")
        if scheme != "unix":
            raise OSError(
                f"DOCKER_HOST is {host}; this tier shares files and sockets with its containers and so needs an engine of this"
                " machine: DOCKER_HOST=unix:///path/to/docker.sock, or unset it"
            )
        return Path(path)
    own = Path(os.environ.get("XDG_RUNTIME_DIR", "/nowhere")) / "docker.sock"
    return own if not DEFAULT_SOCKET.exists() and own.exists() else DEFAULT_SOCKET


def _row(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"stream": line.decode("utf-8", errors="replace")}


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data[:500].decode("utf-8", errors="replace").strip()


def _decoded(data: bytes) -> Any:
    if not data.strip():
        return None
    try:
        return json.loads(data)
    except ValueError:
        # Streams (events) are one document per line; anything else (a ping's OK) is text.
        try:
            return [json.loads(line) for line in data.splitlines() if line.strip()]
        except ValueError:
            return data.decode("utf-8", errors="replace")
