"""What is hashed is what runs: the copy that a session's worker gets, in every isolation tier that works here."""

import importlib.util
import json
import os
import py_compile
import stat
from pathlib import Path

import pytest

from evaluator.errors import SubmissionError, Verdict
from evaluator.sandbox.bubblewrap import BubblewrapSandbox
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tiers import state
from evaluator.submission.source import read_source
from evaluator.submission.staging import Staged, staged

BUBBLEWRAP = pytest.mark.skipif(bool(state("bubblewrap").reason), reason=f"bubblewrap: {state('bubblewrap').reason}")
TIERS = pytest.mark.parametrize(
    "tier", [pytest.param(ProcessSandbox, id="process"), pytest.param(BubblewrapSandbox, id="bubblewrap", marks=BUBBLEWRAP)]
)


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}


def test_a_copy_holds_what_travels_read_only_in_new_inodes(tmp_path):
    mine = tmp_path / "mine"
    (mine / "parts" / "__pycache__").mkdir(parents=True)
    (mine / "run.py").write_text("x = 1\n")
    (mine / "run.py").chmod(0o600)
    (mine / "parts" / "weights.bin").write_bytes(b"1" * 3_000_000)
    (mine / "parts" / "__pycache__" / "run.pyc").write_bytes(b"2")
    (mine / "link.py").symlink_to("run.py")
    os.mkfifo(mine / "pipe")
    with staged(mine, read_source(mine).digest) as copy:
        assert copy.path.name == "mine"
        assert list(files(copy.path)) == ["link.py", "parts", "parts/weights.bin", "run.py"]
        assert (copy.path / "parts" / "weights.bin").read_bytes() == b"1" * 3_000_000
        originals = {path.stat().st_ino for path in files(mine).values()}
        for path in (copy.path, *files(copy.path).values()):
            found = path.lstat()
            assert stat.S_IMODE(found.st_mode) == 0o555
            assert not stat.S_ISLNK(found.st_mode)
            assert found.st_ino not in originals
            assert found.st_nlink == 1 or path.is_dir()
    assert not copy.path.exists()
    with staged(mine) as other:
        assert other.path != copy.path


def test_a_submission_of_one_file_is_a_folder_of_its_name(tmp_path):
    (tmp_path / "mine.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "share.txt").write_text("3")
    with staged(tmp_path / "mine.py") as copy:
        assert copy.path.name == "mine"
        assert list(files(copy.path)) == ["helper.py", "mine.py"]
        text = f'File "{copy.path}/mine.py", line 1; File "/submission/mine/helper.py", line 2'
        assert copy.named(text) == f'File "{tmp_path}/mine.py", line 1; File "{tmp_path}/helper.py", line 2'


@pytest.mark.parametrize("name", ["run.py", "another.py", "parts/data.txt"])
def test_a_submission_that_has_changed_is_not_run(tmp_path, name):
    mine = tmp_path / "mine"
    (mine / "parts").mkdir(parents=True)
    (mine / "run.py").write_text("x = 1\n")
    digest = read_source(mine).digest
    with staged(mine, digest):
        pass
    (mine / name).write_text("x = 2\n")
    with pytest.raises(SubmissionError, match="changed during the evaluation") as caught, staged(mine, digest):
        pass
    assert caught.value.verdict is Verdict.INFRASTRUCTURE


def test_a_full_disk_is_not_the_submissions_fault(tmp_path, monkeypatch):
    (tmp_path / "run.py").write_text("x = 1\n")
    with open(tmp_path / "weights.bin", "wb") as file:
        file.truncate(100 << 20)
    free = 80 << 20
    monkeypatch.setattr(os, "statvfs", lambda place: os.statvfs_result((1, 1, free, free, free, 0, 0, 0, 0, 255)))
    with pytest.raises(SubmissionError, match="no copy of it can be made") as caught, staged(tmp_path):
        pass
    assert caught.value.verdict is Verdict.INFRASTRUCTURE


# -- in a session

HELPED = """
    import os
    from helpers import answer
    from package.inner import more
    from run import ZEWDPCBaseRun
    class Strategy(ZEWDPCBaseRun):
        def purchase_phase(self, unlabelled_dataset, budget):
            here = os.path.dirname(os.path.abspath(__file__))
            print('TOLD', str(sorted(os.listdir(here))).replace("'", '"'), flush=True)
            unlabelled_dataset.purchase_labels(range(answer + more))
"""


@TIERS
def test_a_submission_of_one_file_sees_the_same_files_in_every_tier(session, submission, told, tier):
    folder = submission(HELPED, helpers__py="answer = 3\n", share__txt="9", other__py="")
    (folder / "package").mkdir()
    (folder / "package" / "inner.py").write_text("more = 2\n")
    (folder / "run.py").rename(folder / "mine.py")
    result = session(folder / "mine.py", sandbox=tier())
    assert result.verdict is Verdict.OK, result.reason
    assert told(result) == [["helpers.py", "mine.py", "package"]]
    assert len(result.ledger) == 5


@TIERS
def test_bytecode_that_does_something_else_does_not_run(session, strategy, tier):
    folder = strategy("def purchase_phase(self, unlabelled_dataset, budget):\n    import helper\n    print('HIDDEN', helper.x)\n")
    run, helper = folder / "run.py", folder / "helper.py"
    helper.write_text("x = 'source'\n")
    for path in (run, helper):
        text = path.read_text()
        state = path.stat()
        path.write_text(text.replace("HIDDEN", "PYCODE").replace("source", "pycode"))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        py_compile.compile(str(path), cfile=importlib.util.cache_from_source(str(path)))
        path.write_text(text)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    result = session(folder, sandbox=tier())
    assert result.verdict is Verdict.OK, result.reason
    assert "HIDDEN source" in result.log
    assert "pycode" not in result.log.lower()


@TIERS
def test_files_that_only_their_owner_can_read_run(session, strategy, tier):
    folder = strategy("def purchase_phase(self, unlabelled_dataset, budget):\n    unlabelled_dataset.purchase_labels([0])\n")
    (folder / "run.py").chmod(0o600)
    folder.chmod(0o700)
    assert session(folder, sandbox=tier()).verdict is Verdict.OK


@TIERS
def test_a_traceback_names_the_real_path(session, strategy, tier):
    folder = strategy("def purchase_phase(self):\n    print(__file__)\n    1 / 0\n")
    result = session(folder, sandbox=tier())
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert f'File "{folder}/run.py"' in result.trace
    assert str(folder / "run.py") in result.log
    assert "dck-scratch" not in result.trace + result.log + result.reason
    assert "/submission/" not in (result.trace + result.log).replace(str(folder), "")


@TIERS
def test_the_copy_cannot_be_written(session, strategy, tier):
    if tier is ProcessSandbox and os.geteuid() == 0:
        pytest.skip("in this tier root writes everywhere")
    methods = """
        def purchase_phase(self):
            try:
                open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'left.txt'), 'w')
            except OSError as error:
                tell(type(error).__name__)
    """
    result = session(strategy(methods), sandbox=tier())
    assert '"PermissionError"' in result.log or '"OSError"' in result.log


@TIERS
def test_a_session_learns_nothing_from_the_pages_of_a_file_that_an_earlier_session_has_read(session, strategy, tier):
    """Which pages of a shared file lie in memory is a note from one session to the next: the file is another, and nobody tells."""
    methods = """
        def purchase_phase(self):
            ink = os.open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ink.bin'), os.O_RDONLY)
            try:
                os.preadv(ink, [bytearray(1)], 0, 8)  # RWF_NOWAIT: only what is in memory
                told = 'in memory'
            except BlockingIOError:
                told = 'not in memory'
            except OSError:
                told = 'nothing'
            tell([os.fstat(ink).st_ino, told])
    """
    folder = strategy(methods)
    (folder / "ink.bin").write_bytes(os.urandom(64 * 4096))
    result = session(folder, sandbox=tier())
    assert result.verdict is Verdict.OK, result.reason
    inode, told = json.loads(next(line for line in result.log.splitlines() if line.startswith("TOLD"))[5:])
    assert inode != (folder / "ink.bin").stat().st_ino
    assert told == "nothing"


NOT_FOUND = "FileNotFoundError in purchase_phase: [Errno 2] No such file or directory: '{}'"
ALONE = "; only mine.py and the modules that it imports travel with a submission of one file. Hand in the folder"
ELSEWHERE = (
    "; words.txt lies in the submission's folder, and the working folder is another: use Path(__file__).parent / 'words.txt'"
)


@pytest.mark.parametrize(
    ("file", "missing", "advice"),
    [
        ("mine.py", "/home/me/mine/share.txt", ALONE),
        ("mine.py", "share.txt", ALONE),
        ("", "words.txt", ELSEWHERE),
        ("", "other.txt", ""),
        ("mine.py", "/home/me/mine/../secret.txt", ""),
        ("mine.py", "/etc/nothing", ""),
    ],
)
def test_a_file_that_is_not_in_the_room_is_told_with_what_to_do(tmp_path, file, missing, advice):
    (tmp_path / "words.txt").write_text("a")
    submission, reason = Staged(tmp_path, Path("/home/me/mine"), file), NOT_FOUND.format(missing)
    assert submission.explained(reason) == reason + advice
    assert submission.explained(f"ValueError in purchase_phase: {missing!r}") == f"ValueError in purchase_phase: {missing!r}"


def test_a_session_of_one_file_says_that_the_folder_is_to_be_handed_in(session, tmp_path):
    (tmp_path / "mine.py").write_text("from run import ZEWDPCBaseRun\nopen(__file__.replace('mine.py', 'share.txt'))\n")
    (tmp_path / "share.txt").write_text("3")
    assert session(tmp_path / "mine.py").reason.endswith(f"No such file or directory: '{tmp_path}/share.txt'{ALONE}")


def test_a_session_of_a_submission_that_has_changed_or_cannot_be_read_says_so(session, strategy):
    folder = strategy("")
    digest = read_source(folder).digest
    (folder / "more.txt").write_text("another file")
    result = session(folder, submission_digest=digest)
    assert result.verdict is Verdict.INFRASTRUCTURE
    assert "changed during the evaluation" in result.reason
    (folder / "link").symlink_to("/proc")
    result = session(folder, submission_digest=digest)
    assert result.verdict is Verdict.INFRASTRUCTURE
    assert "changed during the evaluation" in result.reason
    assert "leads out of the submission" in result.reason
    result = session(folder)  # nobody has read it before, so it was never any better
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "leads out of the submission" in result.reason
    assert not result.phases


def test_a_submission_that_changes_between_reading_and_running_fails_its_cell(cell, cell_spec, strategy, monkeypatch):
    folder = strategy("")
    described = cell_spec(folder)
    (folder / "run.py").write_text((folder / "run.py").read_text() + "\n# edited\n")
    result, _ = cell(folder, submission_digest=described.submission_digest)
    assert result["verdict"] == "INFRASTRUCTURE"
    assert "changed during the evaluation" in result["reason"]
    assert str(Path(folder)) in result["reason"]
