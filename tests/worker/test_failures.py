"""What is told of a failure: the submission's own frames first, the stacks of its threads, and what it printed."""

from __future__ import annotations

import time

import pytest

from evaluator.errors import Verdict
from evaluator.history.store import LIVE_CAP, Store
from evaluator.sandbox.bubblewrap import BubblewrapSandbox
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.stacks import CRASH, TIMEOUT, split_stacks
from evaluator.sandbox.tiers import state
from evaluator.worker.failures import failure
from evaluator.worker.frames import encode
from evaluator.worker.service import arrays_in


def test_a_traceback_begins_with_the_submissions_own_frames_and_holds_none_of_the_worker(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            self.inner(unlabelled_dataset)
        def inner(self, pool):
            try:
                pool.purchase_label(-1)
            except IndexError as error:
                raise ValueError("mine") from error
    """)
    result = session(path)
    lines = result.trace.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{path}/run.py", line ')
    assert lines[-1] == "ValueError: mine"
    assert "IndexError: the index -1" in result.trace
    assert "evaluator/worker" not in result.trace
    assert "evaluator/worker/service.py" in result.full_trace, "the frames of the worker are kept beside it"
    assert result.full_trace.splitlines()[-1] == "ValueError: mine"
    assert str(path / "run.py") in result.full_trace, "the real path, here, too"


@pytest.mark.parametrize(
    ("code", "trace"),
    [("def purchase_phase(self, mine):\n    pass", ""), ("def prediction_phase(self):\n    return 'x'", "")],
)
def test_the_workers_own_verdict_needs_no_traceback(code, trace, strategy, session):
    result = session(strategy(code))
    assert result.trace == trace
    assert "evaluator/worker/phases.py" in result.full_trace
    assert result.phases[-1].verdict is not Verdict.OK


def test_a_mistake_in_the_syntax_shows_the_line_and_nothing_of_the_import(submission, session):
    path = submission("def purchase_phase(self, budget:\n    pass\n")
    trace = session(path).trace
    assert trace.startswith(f'  File "{path}/run.py", line 1\n    def purchase_phase(self, budget:')


@pytest.mark.parametrize(("sign", "both"), [("x", True), ("\N{GRINNING FACE}", False)])
def test_a_failure_with_two_long_tracebacks_always_fits_into_a_message(sign, both):
    def phase():
        raise ValueError(sign * 40_000)
        yield

    with pytest.raises(ValueError, match=sign) as raised:
        arrays_in({"arrays": phase()}, b"")  # a frame of the worker
    told = failure(raised.value)
    assert encode(told)
    assert told["trace"].startswith("Traceback")
    assert ("full_trace" in told) is both


SLOW = """
    def purchase_phase(self, unlabelled_dataset):
        import threading
        print("about to wait")
        threading.Thread(target=self.beside, daemon=True).start()
        while True:
            unlabelled_dataset.purchase_label(0)
    def beside(self):
        time.sleep(600)
"""


def test_a_time_limit_shows_where_code_in_c_was_that_lets_no_thread_run(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            import re
            re.match("(a+)+$", "a" * 40 + "b")
    """)
    result = session(path, seconds=1.5)
    assert result.verdict is Verdict.TIME_LIMIT
    assert result.trace.splitlines()[-1].endswith(" in purchase_phase")
    assert f'  File "{path}/run.py", line ' in result.trace


@pytest.mark.parametrize("tier", [ProcessSandbox, BubblewrapSandbox])
@pytest.mark.endurance
def test_a_time_limit_shows_where_every_thread_was(tier, strategy, session):
    if state(tier.name).reason:
        pytest.skip(state(tier.name).reason)
    path = strategy(SLOW)
    result = session(path, sandbox=tier(), seconds=1.5)
    assert result.verdict is Verdict.TIME_LIMIT
    assert result.trace.startswith("Where every thread was, the innermost call first:\n")
    for hook in ("beside", "purchase_phase"):
        assert any(
            line.startswith(f'  File "{path}/run.py", line ') and line.endswith(f" in {hook}") for line in result.trace.splitlines()
        )
    assert "evaluator/worker" not in result.trace
    assert result.trace.count("(most recent call first)") == 2, "the thread that writes is no part of it"
    assert "evaluator/worker/service.py" in result.full_trace
    assert "evaluator/worker/stacks.py" not in result.full_trace
    assert (result.log, result.last_lines) == ("about to wait\n", "about to wait")


def test_a_crash_shows_where_every_thread_was(strategy, session):
    path = strategy("def purchase_phase(self):\n    import ctypes\n    print('last')\n    ctypes.string_at(0)\n")
    result = session(path)
    assert "SIGSEGV" in result.reason
    assert f'  File "{path}/run.py", line ' in result.trace
    assert result.last_lines == "last"


@pytest.mark.parametrize("log", ["", "prints", TIMEOUT, f"{CRASH}nothing follows", f"{TIMEOUT}0:00:01)!\nno thread"])
def test_a_log_without_stacks_stays_as_it_is(log):
    assert split_stacks(log, TIMEOUT) == (log, "")


def test_what_is_printed_is_told_while_the_submission_runs(strategy, session):
    came = []
    path = strategy("def purchase_phase(self):\n    print('first', __file__)\n    time.sleep(1)\n    print('second')\n")
    session(path, printed=lambda text: came.append((time.monotonic(), text)))
    first, second = (next(at for at, text in came if word in text) for word in ("first", "second"))
    assert second - first > 0.5
    assert str(path / "run.py") in "".join(text for _, text in came)


def test_the_live_log_is_bounded_harmless_and_replaced_at_the_end(tmp_path):
    store = Store(tmp_path)
    add = store.live_log(tmp_path / "run", "cell")
    add("\x1b[31mred\n")
    (file,) = (tmp_path / "run").rglob("*.log")
    assert file.read_text() == "\\x1b[31mred\n"
    for _ in range(3):
        add("x" * LIVE_CAP)
    assert file.stat().st_size < LIVE_CAP + 100
    store.write_log(tmp_path / "run", "cell", "whole")
    assert file.read_text() == "whole"


@pytest.mark.parametrize("deed", ["sys.stdout = None", "sys.stdout.close()", "sys.stdout = sys.stderr = 1", "os.close(1)"])
def test_standard_output_may_be_replaced_or_closed(deed, strategy, session):
    path = strategy(f"def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_labels([0])\n    {deed}\n")
    result = session(path)
    assert (result.verdict, [phase.reason for phase in result.phases]) == (Verdict.OK, ["", "", ""])


def test_a_checkpoint_that_a_library_writes_beside_its_folder_is_kept(strategy, session):
    path = strategy("""
        def pre_training_phase(self):
            self.n = 7
        def purchase_phase(self, unlabelled_dataset):
            unlabelled_dataset.purchase_labels(range(self.n))
        def save_checkpoint(self, path):
            np.save(path, self.n)
        def load_checkpoint(self, path):
            self.n = int(np.load(f"{path}.npy"))
    """)
    result = session(path, restart=True)
    assert (result.verdict, len(result.ledger)) == (Verdict.OK, 7), result.reason
