"""The command line of every verb: no abbreviations, nearest names, options that take several values, and how a command ends."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import local_evaluation
from evaluator.cli import main as verbs
from evaluator.cli.ending import status_of
from evaluator.cli.main import build_parser, main
from evaluator.cli.parsing import Parser, below
from evaluator.errors import ConfigurationError, DeviceError, TrainingError

ROOT = Path(__file__).resolve().parents[1]
EVALUATE = local_evaluation.main


def refused(capsys, run, *words: str) -> str:
    """What a command says of words that it does not take."""
    with pytest.raises(SystemExit) as ended:
        run(list(words))
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("run", "words", "said"),
    [
        (main, ["sweep", "--seed", "5"], "there is no option '--seed'; did you mean '--seeds'?"),
        (EVALUATE, ["--seed=5"], "there is no option '--seed'; did you mean '--seeds'?"),
        (EVALUATE, ["--prof", "debug"], "there is no option '--prof'; did you mean '--profile'?"),
        (EVALUATE, ["mine.py"], "'mine.py' stands alone; did you mean --submission mine.py?"),
        (main, ["sweep", "mine.py"], "'mine.py' stands alone; did you mean --submissions mine.py?"),
        (main, ["swep"], "there is no 'swep'; did you mean 'sweep'?"),
        (main, ["data", "chek", "x"], "there is no 'chek'; did you mean 'check'?"),
        (main, ["data", "check", "x", "--clases", "a"], "there is no option '--clases'; did you mean '--classes'?"),
        (main, ["results", "list", "there"], "'there' stands alone; did you mean --out there?"),
        (main, ["results", "clean", "there"], "'there' stands alone; did you mean --out there?"),
        (main, ["data", "make", "there"], "'there' stands alone; did you mean --out there?"),
        (main, ["weights", "make", "--out", "x.safetensors", "there"], "'there' stands alone; did you mean --out there?"),
        (main, ["doctor", "here"], "'here' was not expected here"),
        (EVALUATE, ["--sandbox", "bubblewarp"], "there is no 'bubblewarp'; did you mean 'bubblewrap'?"),
        (EVALUATE, ["\x1b[31mred"], r"\x1b[31mred"),
    ],
)
def test_what_is_not_understood_names_what_was_meant(capsys, run, words, said):
    assert said in refused(capsys, run, *words)


def test_no_parser_takes_an_abbreviation():
    found = [*below(build_parser()), local_evaluation.build_parser()]
    assert len(found) > 15
    assert all(isinstance(parser, Parser) and not parser.allow_abbrev for parser in found)


@pytest.mark.parametrize(("words", "named"), [([], ("sweep", "doctor")), (["data"], ("import", "check"))])
def test_a_command_without_its_verb_says_what_is_there(capsys, words, named):
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert all(f"    {name}  " in said for name in named)


def test_an_option_of_several_values_that_is_repeated_adds_up():
    several = ["submissions", "pairs", "pipelines", "label_quality", "score_split"]
    values = {"label_quality": (["1"], ["0.9", "0.8"])}
    words = ["sweep"]
    for name in several:
        for some in values.get(name, (["a"], ["b", "c"])):
            words += [f"--{name.replace('_', '-')}", *some]
    args = build_parser().parse_args(words)
    assert [list(map(str, getattr(args, name))) for name in several] == [["a", "b", "c"]] * 3 + [
        ["1.0", "0.9", "0.8"],
        ["a", "b", "c"],
    ]
    assert build_parser().parse_args(["compare", "--hidden", "1:1", "--hidden", "2:2"]).hidden == ["1:1", "2:2"]


def raising(error: BaseException):
    def run() -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigurationError("--x: y"), 2, "error: --x: y"),
        (TrainingError("not finite"), 1, "error: the training failed: not finite"),
        (DeviceError("lost"), 1, "error: the training failed: lost"),
        (OSError(errno.EROFS, "Read-only file system", "/kit/data"), 2, "--out for results, --cache for data and caches"),
        (OSError(errno.ENOSPC, "No space left on device", "/kit/\x1b[2J"), 2, r"/kit/\x1b[2J: No space left on device; free some"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_family_of_errors_is_one_line(capsys, error, status, said):
    assert status_of(raising(error)) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_a_fault_of_the_code_keeps_its_traceback():
    with pytest.raises(OSError, match="no such process"):
        status_of(raising(OSError(errno.ESRCH, "no such process")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "cuda:99"], "error: --device: "),
        (["--device", "gpuu"], "error: --device: the device 'gpuu' is not known"),
        (["--learning-rate", "nan"], "error: learning_rate is nan"),
    ],
)
def test_weights_make_refuses_what_cannot_be_done_in_one_line(tmp_path, capsys, words, said):
    small = ["--images", "64", "--batch-size", "16", "--held-out", "32", "--architecture", "efficientnet_b0", "--size", "32"]
    assert verbs.main(["weights", "make", "--out", str(tmp_path / "x.safetensors"), *small, *words]) == 2
    assert said in capsys.readouterr().err


def test_sigterm_ends_a_command_as_ctrl_c_does(tmp_path):
    """A scheduler or ``timeout`` sends it; what is finished is then said, and stored."""
    program = """
import os, signal, sys, time
from evaluator.interrupts import end_quietly, handled
end_quietly()
from evaluator.cli.ending import status_of
def run():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("the table", flush=True)
sys.exit(handled(status_of(run)))
"""
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, **said)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert process.communicate(timeout=30)[0] == "the table\ninterrupted\n"
    assert process.returncode == 143
    assert time.monotonic() - started < 30


START = {
    "-I": ([sys.executable, "-I", str(ROOT / "local_evaluation.py"), "--help"], {}),
    "-P": ([sys.executable, "-P", str(ROOT / "local_evaluation.py"), "--help"], {}),
    "-OO": ([sys.executable, "-OO", "-c", "import evaluator.sandbox.conformance, evaluator.purchase.conformance"], {}),
    "-OO, help": ([sys.executable, "-OO", "-m", "evaluator", "sweep", "--help"], {}),
    "LC_ALL=C": ([sys.executable, "-m", "evaluator", "data", "check", "b\xe4ume"], {"LC_ALL": "C"}),
    "ASCII": (
        [sys.executable, "-m", "evaluator", "data", "check", "b\xe4ume"],
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    "COLUMNS=0": ([sys.executable, "-m", "evaluator", "--help"], {"COLUMNS": "0"}),
}
SAID = {"LC_ALL=C": (2, "error: b\xe4ume does not exist"), "ASCII": (2, "set PYTHONUTF8=1, or LC_ALL=C.UTF-8")}


@pytest.mark.parametrize("how", START)
def test_however_python_is_started_there_is_no_traceback(tmp_path, how):
    command, variables = START[how]
    needed = {} if how in ("-I", "-P") else {"PYTHONPATH": str(ROOT)}
    environment = (
        {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONUTF8")} | needed | variables
    )
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
    status, said = SAID.get(how, (0, ""))
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == status, text
    assert said in text
    assert "Traceback" not in text
    assert not text.startswith("None")


def test_without_the_environment_of_the_kit_one_line_says_so(tmp_path):
    (tmp_path / "msgspec.py").write_text("raise ModuleNotFoundError(\"No module named 'msgspec'\", name='msgspec')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for words in (["-m", "evaluator", "results", "list"], ["local_evaluation.py"]):
        ended = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"error: the package msgspec is not installed for {sys.executable}; the kit needs it. ")
        assert ended.stderr.count("\n") == 1
    unknown = "import evaluator.interrupts as i; i.end_quietly(); import not_there"
    ended = subprocess.run([sys.executable, "-c", unknown], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stderr.startswith("Traceback"), "what the kit does not need is somebody's own mistake"


def test_what_the_kit_needs_are_the_packages_of_its_list():
    from evaluator.interrupts import NEEDED

    listed = {Requirement(line).name for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1].strip("#")}
    names = {"PIL": "pillow", "sklearn": "scikit-learn"}
    assert {names.get(name, name) for name in NEEDED} == listed
