"""A package sent by ssh to a real server on loopback, by rsync and by scp."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from evaluator.cli.main import main

SERVER = shutil.which("sshd") or next((path for path in ("/usr/sbin/sshd",) if os.access(path, os.X_OK)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SERVER is None or shutil.which("ssh") is None, reason="no ssh server is installed"),
]
RUN = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on loopback that knows one key; `ssh` and `scp` of the path have a configuration with that key. Its port."""
    room = tmp_path / "ssh"
    room.mkdir(mode=0o700)
    for name in ("host", "mine"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(room / name)], check=True)
    (room / "known").write_text((room / "mine.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (room / "server").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {room}/host\nPidFile none\nAuthorizedKeysFile {room}/known\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    (room / "client").write_text(
        f"IdentityFile {room}/mine\nIdentitiesOnly yes\nUserKnownHostsFile {room}/hosts\n"
        "StrictHostKeyChecking accept-new\nBatchMode yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, more in (("ssh", ""), ("scp", f"-S {programs}/ssh")):
        (programs / name).write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F {room}/client {more} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    log = (room / "log").open("wb")
    assert SERVER is not None
    running = subprocess.Popen([SERVER, "-D", "-e", "-f", str(room / "server")], stderr=log, stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert running.poll() is None, (room / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield port
    finally:
        running.terminate()
        running.wait(10)
        log.close()


@pytest.fixture
def submission(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.py").write_text(RUN)
    return folder


def address(port, folder):
    return f"ssh://{getpass.getuser()}@127.0.0.1:{port}{folder}"


@pytest.mark.parametrize("program", ["rsync", "scp"])
def test_a_package_arrives_whole_under_its_last_name(program, server, submission, tmp_path, monkeypatch, capsys):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if program == "scp":
        found = shutil.which
        monkeypatch.setattr(shutil, "which", lambda name, *given: None if name == "rsync" else found(name, *given))
    folder = tmp_path / "inbox" / "foxes"
    folder.mkdir(parents=True)
    assert main(["submit", str(submission), "--to", address(server, folder)]) == 0
    (sent,) = folder.iterdir()
    assert not sent.name.startswith(".")
    assert f"{program} " in "".join(capsys.readouterr())
    assert main(["package", str(submission), "--out", str(tmp_path / "package.zip")]) == 0
    assert sent.read_bytes() == (tmp_path / "package.zip").read_bytes()
    # Sent again it has the same name, and one file is there.
    assert main(["submit", str(submission), "--to", address(server, folder)]) == 0
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == [sent.name]


def test_a_folder_that_is_not_there_and_a_key_that_is_not_known_are_said(server, submission, tmp_path, capsys):
    assert main(["submit", str(submission), "--to", address(server, tmp_path / "nowhere")]) == 2
    said = capsys.readouterr().err
    assert "failed" in said
    # What rsync of the other side says can be lost where that ends first.
    assert "No such file" in said or "said nothing. Look whether the folder is there" in said
    assert "Permanently added" not in said
    (tmp_path / "ssh" / "known").write_text("")
    folder = tmp_path / "inbox"
    folder.mkdir()
    assert main(["submit", str(submission), "--to", address(server, folder)]) == 2
    assert "Permission denied" in capsys.readouterr().err
    assert list(folder.iterdir()) == []
