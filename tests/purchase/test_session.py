"""One session: whatever a submission does, a clear verdict comes back, and nothing that it says is believed."""

import os
import shutil

import numpy as np
import pytest
from conftest import SUBMISSIONS

from evaluator.errors import Verdict
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.process import ProcessSandbox

PHASES = ["pre_training_phase", "purchase_phase", "prediction_phase"]


# -- submissions that do not start

UNSTARTABLE = {
    "syntax": ("def f(:\n    pass", "SyntaxError"),
    "import": ("import a_module_that_nobody_has", "a_module_that_nobody_has"),
    "raises": ("raise ValueError('out of spirits')", "out of spirits"),
    "exits": ("import sys\nsys.exit(0)", "SystemExit"),
    "ends": ("import os\nos._exit(0)", "exited with status 0"),
    "no class": ("x = 1", "subclasses ZEWDPCBaseRun"),
    "two classes": (
        "from run import ZEWDPCBaseRun as B\nclass One(B):\n    def purchase_phase(self): pass\n"
        "class Two(B):\n    def purchase_phase(self): pass",
        "leave one class in it",
    ),
    "missing phases": ("class A:\n    def purchase_phase(self): pass", "pre_training_phase, prediction_phase"),
    "needs arguments": (
        "from run import ZEWDPCBaseRun\nclass A(ZEWDPCBaseRun):\n    def __init__(self, model): pass\n"
        "    def purchase_phase(self): pass",
        "model",
    ),
    "a property": ("class A:\n    purchase_phase = property(print)", "purchase_phase of the class A is a property; a method"),
    "another property": (
        "from run import ZEWDPCBaseRun\nclass A(ZEWDPCBaseRun):\n    prediction_phase = property(exit)\n"
        "    def purchase_phase(self): pass",
        "prediction_phase of the class A is a property; a method was expected",
    ),
    "a number": (
        "from run import ZEWDPCBaseRun\nclass A(ZEWDPCBaseRun):\n    pre_training_phase = 3\n    def purchase_phase(self): pass",
        "pre_training_phase of the class A is an int; a method was expected",
    ),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "error that cannot be shown": ("class E(Exception):\n    def __str__(self): raise E\nraise E", "cannot be shown"),
    "bytes": ("\x00\x01\x02", "null bytes"),
}


@pytest.mark.parametrize("name", UNSTARTABLE)
def test_a_submission_that_does_not_start_is_told_why(submission, session, name):
    text, said = UNSTARTABLE[name]
    result = session(submission(text))
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert said in result.reason
    assert "importing the submission" in result.reason
    assert len(result.ledger) == 0
    assert result.phases == ()
    assert result.seconds == 0


def test_the_traceback_of_a_failure_is_kept_and_names_the_line(strategy, session):
    path = strategy("def purchase_phase(self):\n    deep = {}\n    return deep['no such key']")
    result = session(path)
    assert "KeyError in purchase_phase" in result.reason
    assert "deep['no such key']" in result.trace
    assert "run.py" in result.trace


# -- submissions that fail on the way

FAILURES = {
    "raises": ("raise ValueError('lost')", Verdict.RUNTIME_ERROR, "ValueError in {phase}: lost"),
    "exits": ("sys.exit(0)", Verdict.RUNTIME_ERROR, "SystemExit in {phase}: 0; return from the hook instead of calling exit()"),
    "is interrupted": ("raise KeyboardInterrupt", Verdict.RUNTIME_ERROR, "KeyboardInterrupt in {phase}"),
    "ends": ("os._exit(0)", Verdict.RUNTIME_ERROR, "during {phase}"),
    "ends with a status": ("os._exit(3)", Verdict.RUNTIME_ERROR, "during {phase}"),
    "segfault": ("import ctypes; ctypes.string_at(0)", Verdict.RUNTIME_ERROR, "during {phase}"),
    "abort": ("os.abort()", Verdict.RUNTIME_ERROR, "during {phase}"),
    "kills itself": ("os.kill(os.getpid(), 9)", Verdict.RUNTIME_ERROR, "during {phase}"),
    "closes the channel": ("os.closerange(3, 256)", Verdict.RUNTIME_ERROR, "during {phase}"),
    "asks for more": ("", Verdict.RUNTIME_ERROR, "asks for 'model'"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("phase", PHASES)
def test_a_failure_in_a_phase_is_the_verdict_of_that_phase(strategy, session, phase, failure):
    code, verdict, said = FAILURES[failure]
    arguments = "self, model" if failure == "asks for more" else "self"
    bought = (
        ""
        if phase == "purchase_phase"
        else "def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_label(4)\n"
    )
    result = session(strategy(f"{bought}def {phase}({arguments}):\n    {code or 'pass'}\n"))
    report = result.phases[-1]
    assert (report.name, report.verdict) == (phase, verdict)
    assert said.format(phase=phase) in report.reason
    assert [p.name for p in result.phases] == PHASES[: PHASES.index(phase) + 1]
    if phase == "prediction_phase":
        # It comes after the purchases, and does not undo them.
        assert (result.verdict, result.reason) == (Verdict.OK, "")
        assert len(result.ledger) == 1
        assert result.predictions is None
    else:
        assert (result.verdict, result.reason) == (report.verdict, report.reason)
        assert len(result.ledger) == 0


@pytest.mark.parametrize(
    ("code", "said"),
    [("os._exit(7)", "status 7"), ("os.kill(os.getpid(), 11)", "SIGSEGV"), ("os.kill(os.getpid(), 9)", "SIGKILL")],
)
def test_how_a_worker_died_is_said(strategy, session, code, said):
    reason = session(strategy(f"def purchase_phase(self):\n    {code}\n")).reason
    # A worker that is slow to be torn down on a busy machine has at least closed its channel.
    assert said in reason or "closed its channel" in reason


def test_what_was_bought_before_a_failure_stays_in_the_ledger(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            unlabelled_dataset.purchase_labels([7, 8, 9])
            os._exit(0)
    """)
    result = session(path)
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert [p.index for p in result.ledger] == [7, 8, 9]
    assert len(result.phases) == 2


def test_the_base_class_alone_says_what_to_override(submission, session):
    path = submission("from run import ZEWDPCBaseRun\nclass Mine(ZEWDPCBaseRun):\n    pass\n")
    result = session(path)
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "override purchase_phase" in result.reason


# -- the prediction phase

PREDICTIONS = {
    "nothing": ("None", "prediction_phase returned nothing (None)"),
    "text": ("'yes'", "cannot be read"),
    "NaN": ("np.full((6, 6), np.nan)", "nan for image 0, class 0"),
    "above 1": ("np.full((6, 6), 1.5)", "1.5 for image 0, class 0"),
    "logits": ("np.full((6, 6), -3.0)", "-3.0 for image 0, class 0"),
    "one row too few": ("np.zeros((5, 6))", "shape (5, 6); expected (6, 6)"),
    "transposed and cut": ("np.zeros((6, 5))", "shape (6, 5); expected (6, 6)"),
    "flat": ("np.zeros(36)", "shape (36,)"),
    "ragged": ("[[0] * 6] * 5 + [[0]]", "cannot be read"),
    "generator": ("(row for row in np.zeros((6, 6)))", "returned a generator, of which nothing runs"),
    "huge": ("np.zeros((3000, 3000))", "shape (3000, 3000)"),
    "missing number": ("{0: [0] * 6}", "cannot be read"),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_wrong_predictions_are_invalid_output_with_place_and_expectation(strategy, session, name):
    code, said = PREDICTIONS[name]
    result = session(strategy(f"def prediction_phase(self, test_dataset):\n    return {code}\n"))
    assert result.verdict is Verdict.OK
    assert result.phases[-1].verdict is Verdict.INVALID_OUTPUT
    assert said in result.phases[-1].reason
    assert "expected" in result.phases[-1].reason
    assert result.predictions is None


def test_right_predictions_arrive_in_the_sets_own_order(strategy, session, sets):
    path = strategy("""
        def prediction_phase(self, test_dataset):
            return (test_dataset.images.astype(float).mean((2, 3))[:, 1:7] > 140).astype(float)
    """)
    result = session(path)
    assert np.array_equal(result.predictions, sets.splits["debug"].labels)


def test_the_set_to_predict_has_no_labels(strategy, session, told):
    path = strategy("""
        def prediction_phase(self, test_dataset):
            tell([len(test_dataset), sorted(test_dataset[0]), hasattr(test_dataset, "labels")])
            return np.zeros((len(test_dataset), 6))
    """)
    assert told(session(path)) == [[6, ["idx", "image"], False]]


# -- the purchase phase's return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("None", None),
        ("'thank you'", None),
        ("object()", None),
        ("lambda: 1", None),
        ("{3: pool.purchased[3], 4: pool.purchased[4]}", None),
        ("[4, 3]", None),
        ("{3: 1 - pool.purchased[3], 4: pool.purchased[4]}", "other values"),
        ("{i: np.ones(6) for i in range(80)}", "purchase_phase returned 78 labels that were not bought"),
        ("[3]", "purchase_phase did not return 1 bought label"),
        ("list(range(10**5))", None),
    ],
)
def test_the_ledger_counts_whatever_is_returned_and_the_result_says_where_they_differ(strategy, session, value, said):
    path = strategy(f"""
        def purchase_phase(self, unlabelled_dataset):
            pool = unlabelled_dataset
            pool.purchase_labels([3, 4])
            return {value}
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    assert [p.index for p in result.ledger] == [3, 4]
    if said is None:
        assert result.disagreement is None
    else:
        assert said in result.disagreement
        assert "training uses the ledger" in result.disagreement


# -- submissions in the style of 2022


@pytest.mark.parametrize("name", ["era_2022_subclass.py", "era_2022_edited"])
@pytest.mark.parametrize("restart", [False, True], ids=["one worker", "restarted"])
def test_submissions_in_the_style_of_2022_run_unchanged(session, name, restart):
    result = session(SUBMISSIONS / name, budget=12, restart=restart)
    assert result.verdict is Verdict.OK, result.reason
    assert [(p.name, p.verdict) for p in result.phases] == [(phase, Verdict.OK) for phase in PHASES], result.phases[-1].reason
    assert [p.index for p in result.ledger] == list(range(12))
    assert result.disagreement is None
    assert result.predictions.shape == (6, 6)
    assert result.class_name == ("ZEWDPCRun" if name.endswith(".py") else "ZEWDPCBaseRun")


# -- checkpoints

REMEMBERS = """
    def pre_training_phase(self, training_dataset):
        self.memory = np.random.default_rng(1).random(3)
        self.where = os.getpid()
    def purchase_phase(self, unlabelled_dataset):
        tell([os.getpid(), self.memory.tolist()])
        self.memory = self.memory + 1
        unlabelled_dataset.purchase_label(0)
    def prediction_phase(self, test_dataset):
        tell([os.getpid(), self.memory.tolist()])
        return np.zeros((len(test_dataset), 6))
    def save_checkpoint(self, path):
        {save}
    def load_checkpoint(self, path):
        {load}
"""
WAYS = {
    "folder": ("np.save(os.path.join(path, 'm.npy'), self.memory)", "self.memory = np.load(os.path.join(path, 'm.npy'))"),
    "file": ("open(path, 'w').write(json.dumps(self.memory.tolist()))", "self.memory = np.array(json.load(open(path)))"),
    "file with a suffix": ("np.save(path, self.memory)", "self.memory = np.load(path + '.npy')"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_restores_a_run_whose_worker_was_restarted(strategy, session, told, way):
    save, load = WAYS[way]
    result = session(strategy(REMEMBERS.format(save=save, load=load)), restart=True)
    assert result.verdict is Verdict.OK, result.reason
    assert result.phases[-1].verdict is Verdict.OK, result.phases[-1].reason
    (first, memory), (second, later) = told(result)
    assert first != second
    assert memory == np.random.default_rng(1).random(3).tolist()
    assert later == [m + 1 for m in memory]


def test_without_a_restart_one_process_runs_all_and_the_hooks_still_write(strategy, session, told):
    save, load = WAYS["folder"]
    result = session(strategy(REMEMBERS.format(save=save + "; tell(os.listdir(path))", load=load)))
    (written, (first, _), again, (second, _)) = told(result)
    assert first == second
    assert written == again == ["m.npy"]


def test_a_run_that_restarts_needs_both_hooks(strategy, session):
    result = session(strategy("def save_checkpoint(self, path):\n    pass"), restart=True)
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "lacks save_checkpoint or load_checkpoint" in result.reason


@pytest.mark.parametrize("hook", ["save_checkpoint", "load_checkpoint"])
def test_a_checkpoint_hook_that_fails_is_named(strategy, session, hook):
    other = "load_checkpoint" if hook == "save_checkpoint" else "save_checkpoint"
    result = session(
        strategy(f"def {hook}(self, path):\n    raise ValueError('full')\ndef {other}(self, path):\n    pass"), restart=True
    )
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert hook in result.reason
    assert "full" in result.reason


def test_a_submission_that_spoils_its_own_checkpoint_folder_fails_by_itself(strategy, session):
    code = "import shutil; shutil.rmtree(os.path.expanduser('~/checkpoint')); open('checkpoint', 'w').close()"
    result = session(strategy(f"def pre_training_phase(self):\n    {code}\ndef save_checkpoint(self, path):\n    pass"))
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "leave 'checkpoint' in your home folder free" in result.reason


def test_a_checkpoint_over_the_limit_of_the_disk_is_refused_in_words(strategy, session):
    code = (
        "def save_checkpoint(self, path):\n    np.save(os.path.join(path, 'm'), np.ones(1 << 20))\n"
        "def load_checkpoint(self, path):\n    pass"
    )
    assert session(strategy(code), restart=True).verdict is Verdict.OK
    # Between two looks of a watch; the evaluator counts what arrives.
    result = session(strategy(code), restart=True, limits=Limits(disk=4 << 20))
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "4194304 bytes" in result.reason or "disk: " in result.reason


# -- what a participant prints and sends


def test_prints_warnings_and_progress_bars_disturb_nothing_and_are_kept(strategy, session, sets):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset, register_progress):
            import warnings
            from tqdm import tqdm
            print("to the log")
            sys.stdout.buffer.write(b"\\x00\\xff\\xfe not text\\n")
            warnings.warn("be warned")
            sys.stderr.write("from the other stream\\n")
            os.system("echo from a child")
            for i in tqdm(range(5)):
                unlabelled_dataset.purchase_label(i)
            print("no newline at the end", end="")
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    assert len(result.ledger) == 5
    for part in ("to the log", "not text", "be warned", "from the other stream", "from a child", "5/5", "no newline at the end"):
        assert part in result.log


def test_five_megabytes_of_output_are_capped_and_hold_nobody_up(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            print("the very first line")
            for i in range(50):
                sys.stdout.write("x" * 99_999 + "\\n")
                if i % 5 == 0:
                    unlabelled_dataset.purchase_label(i)
            print("the very last line")
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    assert len(result.ledger) == 10
    assert "the very first line" in result.log
    assert "the very last line" in result.log
    assert "bytes left out" in result.log
    assert len(result.log) < 600_000


def test_progress_is_passed_on_within_bounds_whatever_is_given(strategy, session):
    path = strategy("""
        def purchase_phase(self, register_progress):
            for value in (0.25, 2, -1, float("nan"), float("inf"), None, "x", 10**400, [1], np.float32(0.5), 1j):
                register_progress(value)
            register_progress()
            register_progress(0.75, "message", epoch=3)
    """)
    seen = []
    result = session(path, progress=lambda what, share: seen.append((what, share)))
    assert result.verdict is Verdict.OK, result.reason
    assert [share for what, share in seen if what == "purchase_phase"] == [0, 0.25, 1, 0, 1, 0.5, 0, 0.75, 1.0]


HOSTILE = {
    "no frame": "b'hello evaluator'",
    "a length over the cap": "struct.pack('!II', 2**31, 2**31)",
    "no JSON": "struct.pack('!II', 4, 0) + b'abcd'",
    "unknown kind": "frame({'t': 'score', 'macro_f1': 1.0})",
    "unread field": "frame({'t': 'buy', 'budget': 10**6})",
    "odd purchase": "frame({'t': 'buy'}, b'1234567')",
    "purchase longer than the pool": "frame({'t': 'buy'}, bytes(8 * 81))",
    "a second greeting": "frame({'t': 'hello', 'pid': 1, 'numpy': '', 'python': ''})",
    "a claim that does not fit": "frame({'t': 'done', 'claim': 'labels', 'n': 10**6})",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_message_ends_the_session_as_a_protocol_error(strategy, session, name):
    path = strategy(
        f"""
        def purchase_phase(self, unlabelled_dataset):
            unlabelled_dataset._market._channel._socket.sendall({HOSTILE[name]})
            time.sleep(600)
        """,
        top="""
        import struct
        def frame(message, blob=b""):
            text = json.dumps(message).encode()
            return struct.pack("!II", len(text), len(blob)) + text + blob
        """,
    )
    result = session(path)
    assert result.verdict is Verdict.PROTOCOL_ERROR, result.reason
    assert len(result.ledger) == 0


def test_indices_around_the_api_meet_the_same_market(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            channel = unlabelled_dataset._market._channel
            for indices in ([-1], [80], [0, 99], [2**62], list(range(13))):
                answer, blob = channel.request({"t": "buy"}, np.array(indices, np.int64).tobytes())
                assert answer["t"] == "refused", indices
                assert blob == b""
            answer, blob = channel.request({"t": "buy"}, np.array([5, 5, 5], np.int64).tobytes())
            assert (answer["t"], answer["remaining"], len(blob)) == ("sold", 11, 18)
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    assert [p.index for p in result.ledger] == [5]


def test_a_worker_that_cannot_be_started_is_our_fault(strategy, session):
    class Broken(ProcessSandbox):
        def start(self, spec):
            raise OSError("no room")

    result = session(strategy(""), sandbox=Broken())
    assert result.verdict is Verdict.INFRASTRUCTURE
    assert "no room" in result.reason


def test_a_session_that_is_interrupted_ends_its_worker(strategy, session):
    class Watched(ProcessSandbox):
        def start(self, spec):
            self.worker = super().start(spec)
            return self.worker

    def interrupt(what, share):
        if share == 0.5:
            raise KeyboardInterrupt

    sandbox = Watched()
    path = strategy("def purchase_phase(self, register_progress):\n    register_progress(0.5)\n    time.sleep(600)")
    with pytest.raises(KeyboardInterrupt):
        session(path, sandbox=sandbox, progress=interrupt)
    assert sandbox.worker.end().killed
    with pytest.raises(ProcessLookupError):
        os.kill(sandbox.worker.pid, 0)


def test_the_pool_is_shown_in_the_order_of_the_session(strategy, session, sets, told):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            tell([int(image.astype(int).sum()) for image in unlabelled_dataset.images])
    """)
    sums = sets.images["unlabelled"].gather(range(80)).astype(int).sum((1, 2, 3))
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(80)
        assert told(session(path, order=order)) == [sums[order].tolist()]


def test_a_moved_submission_is_the_same_submission(session, tmp_path):
    shutil.copytree(SUBMISSIONS / "era_2022_edited", tmp_path / "a folder (with spaces)")
    assert session(tmp_path / "a folder (with spaces)").verdict is Verdict.OK
