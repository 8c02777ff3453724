"""``--debug``: a submission in the foreground, at a real pseudo-terminal and without one. Nothing of it is a result."""

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from toy_track import GUESS

import local_evaluation
from evaluator.errors import ConfigurationError, Verdict
from evaluator.purchase.debug import checks
from evaluator.purchase.purchased import session_spec
from evaluator.purchase.session import debug_session, run_session
from evaluator.sandbox.attached import AttachedSandbox
from evaluator.sandbox.tiers import SANDBOXES
from evaluator.sweep import debug

ROOT = Path(__file__).resolve().parents[2]
FRONT = """
    import sys
    sys.path[:0] = [{root!r}, {tests!r}]
    from conftest import TINY
    from evaluator.purchase import profiles
    profiles.PROFILES["tiny"] = TINY
    import local_evaluation
    sys.exit(local_evaluation.main(sys.argv[1:]))
"""
STOPS = """
def purchase_phase(self, unlabelled_dataset, budget):
    answer = 40 + 2
    breakpoint()
    unlabelled_dataset.purchase_labels(range(budget - 1))
    print("went on with", answer)
def prediction_phase(self, test_dataset):
    deepest = "the place of the error"
    return {}["no such key"]
"""


class Terminal:
    """A program at a pseudo-terminal, as a person sits at it."""

    def __init__(self, command):
        ours, theirs = os.openpty()
        self.screen, self._seen, self._descriptor = "", 0, ours
        self._process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)

    def until(self, text, seconds=120):
        """Wait for a text behind the one that was waited for last."""
        deadline = time.monotonic() + seconds
        while text not in self.screen[self._seen :]:
            assert time.monotonic() < deadline, self.screen
            if select.select([self._descriptor], [], [], 0.2)[0]:
                try:
                    self.screen += os.read(self._descriptor, 1 << 16).decode(errors="replace").replace("\r\n", "\n")
                except OSError:  # nobody is there any more
                    break
        assert text in self.screen[self._seen :], self.screen
        self._seen = self.screen.index(text, self._seen) + len(text)

    def type(self, line):
        os.write(self._descriptor, f"{line}\n".encode())

    def end(self):
        """Wait for the end; the exit status."""
        try:
            while data := os.read(self._descriptor, 1 << 16):
                self.screen += data.decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            pass
        os.close(self._descriptor)
        return self._process.wait(60)


def test_at_a_terminal_breakpoint_and_post_mortem_work_and_nothing_is_stored(strategy, tmp_path, data_folder):
    path, out = strategy(STOPS), tmp_path / "results"
    (path / "aicrowd.json").write_text('{"licence": "MIT"}')
    front = textwrap.dedent(FRONT).format(root=str(ROOT), tests=str(ROOT / "tests"))
    options = ("--profile", "tiny", "--data", str(data_folder), "--out", str(out), "--submission", str(path), "--device", "cpu")
    here = Terminal([sys.executable, "-c", front, "--debug", *options])
    here.until("(Pdb) ")
    assert "not a score" in here.screen
    assert "did you mean 'license'?" in " ".join(here.screen.split()), "what its files say is said first"
    here.type("p answer")
    here.until("42")
    here.type("c")
    here.until("went on with 42")
    here.until("(Pdb) ")
    assert f'File "{path / "run.py"}"' in here.screen, "a traceback names the submission's own file"
    assert "service.py" not in here.screen
    here.type("p deepest")
    here.until("'the place of the error'")
    here.type("q")
    assert here.end() == 1
    end = here.screen.split("-- prediction_phase", 1)[1]
    assert "11 of 12 bought" in end
    assert "a part of the budget was not spent (11 of 12 labels)." in " ".join(end.split()), "as a run says it"
    assert "would fail: KeyError in prediction_phase" in end
    assert "not a score: nothing was judged, and nothing was stored" in " ".join(end.split())
    assert "macro F1" not in here.screen
    assert [file.name for file in out.iterdir()] == ["secret"]
    assert not list(path.glob("__pycache__"))


@pytest.fixture
def foreground(ready):
    """The session of a submission in the foreground: its spec, its result, and what its author is told."""

    def run(path, **changes):
        experiment = ready(path)
        spec = experiment.cells[0]
        session = replace(session_spec(spec, experiment.inputs(spec).data, path), **changes)
        result = debug_session(session, AttachedSandbox())
        return session, result, checks(session, result.ledger, result.phases, result.disagreement, result.predictions)

    return run


LOOKS = """
def purchase_phase(self, unlabelled_dataset, training_dataset, budget, seed, time_available):
    pool = unlabelled_dataset
    bought = np.random.default_rng(seed).permutation(len(pool))[:budget]
    pool.purchase_labels(bought)
    tell([seed, budget, int(pool.images.sum()), training_dataset.labels.tolist(), round(time_available)])
    names = ("PYTHONHASHSEED", "OMP_NUM_THREADS", "PATH", "SECRET_TOKEN", "PYTHONPATH")
    tell([os.environ.get(name) for name in names])
    tell([os.getcwd() == os.path.expanduser("~"), sys.flags.safe_path, sys.flags.no_user_site])
"""


def test_a_submission_meets_what_it_meets_in_the_sandbox(foreground, strategy, told, capfd, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    path = strategy(LOOKS)
    session, result, _ = foreground(path)
    from evaluator.sandbox.process import ProcessSandbox

    judged = run_session(session, ProcessSandbox())
    assert judged.reason == result.reason == ""
    sold = [[(s.order, s.index, s.image, s.label) for s in of.ledger] for of in (result, judged)]
    assert sold[0] == sold[1]
    assert len(sold[0]) == session.budget
    assert told(capfd.readouterr().out) == told(judged)
    assert result.log == "", "it was printed when it was said"


def test_without_a_terminal_an_exception_is_shown_and_nobody_is_asked(foreground, strategy, capfd):
    path = strategy("def purchase_phase(self):\n    return self.missing")
    _, result, _ = foreground(path)
    assert result.verdict is Verdict.RUNTIME_ERROR
    shown = capfd.readouterr()
    assert shown.err.count("Traceback") == 1
    assert f'File "{path / "run.py"}", line ' in shown.err
    assert "service.py" not in shown.err
    assert "Pdb" not in shown.out + shown.err


def test_a_submission_that_cannot_be_imported_says_why(foreground, submission, capfd):
    _, result, _ = foreground(submission("import a_module_that_nobody_has"))
    assert "a_module_that_nobody_has" in result.reason
    assert "importlib" not in capfd.readouterr().err


def test_the_clock_is_shown_and_ends_nothing(foreground, strategy):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            time.sleep(0.3)
            assert unlabelled_dataset.remaining_time() == 0
            unlabelled_dataset.purchase_labels([1, 2])
        def prediction_phase(self, test_dataset):
            time.sleep(0.3)
            return np.zeros((len(test_dataset), 6))
    """)
    _, result, (rows, faults) = foreground(path, seconds=0.1, prediction_seconds=0.1, load_seconds=0.1)
    assert result.verdict is Verdict.OK, result.reason
    assert len(result.ledger) == 2
    assert "of 0.1 s" in dict(rows)["purchase_phase"]
    assert "2 of them were bought after the time limit" in dict(rows)["labels"]
    assert [("TIME_LIMIT" in fault) for fault in faults] == [True, True]


@pytest.mark.parametrize(
    ("last", "said"),
    [("os._exit(3)", "exited with status 3"), ("os.kill(os.getpid(), 9)", "SIGKILL"), ("sys.exit()", "SystemExit")],
)
def test_a_worker_that_ends_itself_is_told_of_as_in_a_run(foreground, strategy, last, said):
    _, result, (rows, faults) = foreground(strategy(f"def purchase_phase(self):\n    {last}"))
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert said in result.reason
    assert any(said in fault for fault in faults)
    assert "RUNTIME_ERROR" in dict(rows)["purchase_phase"]


def test_an_interrupt_is_the_workers_and_not_the_evaluators():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a program in the background may ignore it
    try:
        with debug._interrupts_are_the_workers():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_is_no_isolation_tier():
    assert AttachedSandbox.name not in SANDBOXES
    assert AttachedSandbox.promises == frozenset()


def test_a_track_without_such_a_run_says_so():
    with pytest.raises(ConfigurationError, match="--debug: the track guess has no such run"):
        GUESS.debug(None, None, lambda what, share: None)


def test_what_would_be_a_result_cannot_be_asked_for(capsys):
    assert local_evaluation.main(["--debug", "--json"]) == 2
    assert "--json and --debug were both given" in capsys.readouterr().err
