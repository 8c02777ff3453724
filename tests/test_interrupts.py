"""Ctrl-C while a command starts: one line and status 130, never a traceback, whatever is being imported at that moment."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ["sweep", "--submissions", "baselines/random", "--profile", "debug", "--dry-run"]
COMMANDS = {
    "python -m evaluator": (["evaluator", *SWEEP], "runpy.run_module('evaluator', run_name='__main__', alter_sys=True)"),
    "dck": (["dck", *SWEEP], "from evaluator.__main__ import main; sys.exit(main())"),
    "local_evaluation.py": (["local_evaluation.py", "--help"], "runpy.run_path('local_evaluation.py', run_name='__main__')"),
}
IMPORTED = {
    **dict.fromkeys(("python -m evaluator", "dck"), ("argparse", "evaluator.errors", "evaluator.purchase.pairs", "numpy")),
    "local_evaluation.py": ("argparse", "evaluator.errors", "evaluator.purchase.rounds"),
}
PROGRAM = """
    import os, runpy, signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
    sys.argv = {argv!r}

    class Interrupt:
        def find_spec(self, name, path=None, target=None):
            if name == {module!r}:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)

    sys.modules.pop({module!r}, None)
    sys.meta_path.insert(0, Interrupt())
    {start}
    raise SystemExit(77)
"""


def run(program: str) -> subprocess.CompletedProcess:
    """Run a program; what it says comes on one stream."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=ROOT, env=environment, timeout=120, check=False, **said)


@pytest.mark.parametrize(("command", "module"), [(command, module) for command in COMMANDS for module in IMPORTED[command]])
def test_ctrl_c_while_a_command_is_imported_is_one_line_and_status_130(command, module):
    argv, start = COMMANDS[command]
    done = run(PROGRAM.format(argv=argv, module=module, start=start))
    assert (done.returncode, done.stdout) == (130, "interrupted\n")


def test_an_interrupt_in_code_made_from_text_does_not_end_the_process_by_the_signal(tmp_path):
    """CPython notes it, and would end a module that was started with -m by the signal, although the interrupt was caught."""
    program = """
        import signal, sys
        from evaluator.interrupts import handled
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            exec("raise KeyboardInterrupt")
        except KeyboardInterrupt:
            print("caught")
        sys.exit(handled(130))
    """
    (tmp_path / "made_from_text.py").write_text(textwrap.dedent(program))
    command = [sys.executable, "-m", "made_from_text"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (130, b"caught\n")


def test_other_errors_keep_their_traceback():
    done = run("from evaluator.interrupts import end_quietly; end_quietly(); 1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
