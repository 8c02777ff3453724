"""What is said of a submission by its files alone: every slip is found at once, and no sound submission is accused."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluator.cli.main import main
from evaluator.purchase import trial
from evaluator.purchase.profiles import PROXIES
from evaluator.purchase.track import PURCHASE
from evaluator.sandbox.process import ProcessSandbox
from evaluator.submission import import_checks
from evaluator.submission.hooks import DEPTH, Interface, OutOfTime, Sources
from evaluator.submission.outlines import Class, outlines
from evaluator.submission.validate import examine
from evaluator.training.recipes import PIPELINES
from evaluator.worker.purchase import PurchaseTrack
from evaluator.worker.service import ALWAYS
from evaluator.worker.tracks import TRACKS

ROOT = Path(__file__).resolve().parents[2]
HEAD = "from run import ZEWDPCBaseRun\n\n\nclass Mine(ZEWDPCBaseRun):\n"
BUYS = "    def purchase_phase(self, unlabelled_dataset, budget):\n        unlabelled_dataset.purchase_labels(range(budget))\n"


@pytest.fixture
def found(tmp_path):
    """Examine a submission of one file: its findings, as ``kind place: text``."""

    def look(text: str, name: str = "mine.py", **beside: str) -> list[str]:
        (tmp_path / name).write_text(textwrap.dedent(text))
        for other, content in beside.items():
            (tmp_path / other.replace("__", ".")).write_text(content)
        return [f"{finding.kind} {finding.line}" for finding in examine(tmp_path / name, "purchase", home=True).found]

    return look


def method(line: str, more: str = "") -> str:
    return f"{HEAD}    {line}\n        pass\n{more}"


SLIPS = {
    "a method's name": (
        method("def pretraining_phase(self, training_dataset):", BUYS),
        "error mine.py, line 5: the class Mine has a method pretraining_phase, which nothing calls; did you mean pre_training",
    ),
    "another method's name": (
        method("def prediction_fase(self, test_dataset):", BUYS),
        "error mine.py, line 5: the class Mine has a method prediction_fase, which nothing calls; did you mean prediction_phase?",
    ),
    "the marker's name": (
        method("def purchase_fase(self, unlabelled_dataset):"),
        "error mine.py, line 5: the class Mine has a method purchase_fase, which nothing calls; did you mean purchase_phase?",
    ),
    "a keyword": (
        method("def purchase_phase(self, unlabelled_dataset, budjet):"),
        "error mine.py, line 5: purchase_phase asks for 'budjet'; on offer are budget, ",
    ),
    "a keyword with a default": (
        method("def purchase_phase(self, unlabelled_dataset, budjet=10):"),
        "warning mine.py, line 5: purchase_phase takes 'budjet', which is never passed; ",
    ),
    "a data set of another phase": (method("def purchase_phase(self, test_dataset):"), "purchase_phase asks for 'test_dataset'"),
    "by position only": (method("def purchase_phase(self, budget, /):"), "purchase_phase takes budget by position only"),
    "no self": (method("def purchase_phase():"), "purchase_phase takes no self"),
    "a generator": (
        HEAD + BUYS + "        yield 1\n",
        "error mine.py, line 5: purchase_phase is a generator, so calling it runs nothing",
    ),
    "a coroutine": (method("async def purchase_phase(self):"), "purchase_phase is a coroutine, so calling it runs nothing"),
    "its constructor": (
        method("def __init__(self, model):", BUYS),
        "__init__ asks for model; your object is made without arguments",
    ),
    "no class": ("x = 1\n", "error mine.py: holds no class; expected a class with a purchase_phase"),
    "no hook": (method("def helper(self):"), "the class Mine has no purchase_phase of its own"),
    "two classes": (
        HEAD + BUYS + HEAD.replace("Mine", "Yours") + BUYS,
        "error mine.py: holds 2 classes with a purchase_phase (Mine, Yours)",
    ),
    "a line": (HEAD + "    def purchase_phase(self:\n", "error mine.py, line 5: it does not compile (SyntaxError: "),
    "a return outside": ("return 1\n" + HEAD + BUYS, "it does not compile (SyntaxError: 'return' outside function)"),
    "a module": (
        "import sklaern\n" + HEAD + BUYS,
        "error mine.py, line 1: imports sklaern, which is neither installed nor a module",
    ),
    "a module in a function": (
        method("def purchase_phase(self):", "        import no_such_thing\n"),
        "warning mine.py, line 7: imports no_such_thing",
    ),
    "a property": (
        method("@property\n    def purchase_phase(self):"),
        "error mine.py, line 6: purchase_phase is a property; expected a method. Write def purchase_phase(self, ...)",
    ),
    "a number": (
        f"{HEAD}    pre_training_phase = 3\n\n{BUYS}",
        "error mine.py, line 5: pre_training_phase is the value 3; expected a method",
    ),
    "a list in place of the marker": (HEAD + "    purchase_phase = []\n", "error mine.py, line 5: purchase_phase is a list"),
    "a module that was meant": ("import sklear\n" + HEAD + BUYS, "Did you mean sklearn?"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_found_and_named(found, slip):
    text, said = SLIPS[slip]
    findings = found(text)
    assert [line for line in findings if said in line], findings
    assert len(findings) == 1, findings


def test_everything_is_found_at_once_errors_first(found):
    text = "import no_such_thing\n" + method(
        "def purchase_phase(self, budjet, seeds=1):", "\n    def prediction_fase(self):\n        pass\n"
    )
    kinds = [line.split()[0] for line in found(text)]
    assert kinds == ["error", "error", "error", "warning"]


SOUND = {
    "guarded": "try:\n    import no_such_thing\nexcept ImportError:\n    no_such_thing = None\n" + HEAD + BUYS,
    "under a condition": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n" + HEAD + BUYS,
    "decorated": method("@whatever\n    def purchase_phase(self, anything, at, all):").replace(
        "class", "whatever = print\n\nclass"
    ),
    "keywords": method("def purchase_phase(self, **given):"),
    "the names of 2022": method("def purchase_phase(self, unlabeled_dataset, purchase_budget, compute_budget, train_dataset):"),
    "a helper that is called": HEAD
    + "    def purchase_fase(self):\n        pass\n\n    def purchase_phase(self):\n        self.purchase_fase()\n",
    "a base class of its own": f"{HEAD.replace('Mine', 'Base')}{BUYS}\n\nclass Mine(Base):\n    pass\n",
    "a protocol beside it": f"from typing import Protocol\n\n\nclass Buys(Protocol):\n{BUYS}\n\n{HEAD}{BUYS}",
    "made by a call": "from run import ZEWDPCBaseRun as B\nMine = type('Mine', (B,), {'purchase_phase': lambda self: None})\n",
    "a generator within": method(
        "def purchase_phase(self):", "        sum(x for x in [1])\n\n        def inner():\n            yield 1\n"
    ),
    "a base of a library": "from sklearn.base import BaseEstimator\n\n\nclass Mine(BaseEstimator):\n" + BUYS,
    "a hook that is assigned": "def f(self):\n    pass\n\n\n" + HEAD + "    purchase_phase = f\n",
}


@pytest.mark.parametrize("case", SOUND)
def test_what_is_sound_or_cannot_be_told_is_not_accused(found, case):
    assert found(SOUND[case]) == []


def test_the_starter_and_every_baseline_are_without_a_finding():
    for path in [ROOT / "my_submission", *sorted((ROOT / "baselines").glob("*.py"))]:
        assert not path.name.startswith("_") or pytest.fail(str(path))
        assert examine(path, "purchase").found == (), path


def test_a_class_of_another_module_is_followed(found):
    text = "from helpers import Mine\n"
    (line,) = found(text, helpers__py=HEAD + "    def purchase_phase(self, budjet):\n        pass\n")
    assert line.startswith("error helpers.py, line 5: purchase_phase asks for 'budjet'")


def test_a_source_that_nothing_imports_is_a_warning_and_one_that_is_imported_an_error(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.py").write_text(HEAD + BUYS)
    (folder / "old.py").write_text("def f(:\n")
    assert [(f.kind, f.place) for f in examine(folder, "purchase").found] == [("warning", "old.py, line 1")]
    (folder / "run.py").write_text("import old\n" + HEAD + BUYS)
    assert [(f.kind, f.place) for f in examine(folder, "purchase").found] == [("error", "old.py, line 1")]


def test_a_file_that_hides_a_library_is_named(tmp_path):
    (tmp_path / "run.py").write_text(HEAD + BUYS)
    (tmp_path / "torch").mkdir()
    for name in ("random.py", "numpy.py", "torch/__init__.py", "helper.py", "evaluator.py"):
        (tmp_path / name).write_text("x = 1\n")
    found = {finding.place: finding for finding in examine(tmp_path, "purchase").found}
    assert found.keys() == {"random.py", "numpy.py", "torch/"}
    assert "it has the name of a module of Python, so import random may find it instead" in found["random.py"].text
    assert "name of a library" in found["numpy.py"].text
    assert {finding.kind for finding in found.values()} == {"warning"}


@pytest.mark.parametrize("name", ["random.py", "numpy.py", "queue.py"])
def test_an_entry_of_a_librarys_name_hides_it_from_libraries_too(found, name):
    what = "a library" if name == "numpy.py" else "a module of Python"
    (said,) = found(HEAD + BUYS, name)
    assert said.startswith(f"warning {name}: it has the name of {what}")


def test_a_file_of_a_builtin_modules_name_hides_nothing(found):
    assert found(HEAD + BUYS, "time.py") == []


def test_an_entry_called_random_breaks_a_library_that_imports_random(tmp_path):
    """Why the entry is named: the submission does not import random, but numpy.random does."""
    path = tmp_path / "random.py"
    path.write_text(HEAD + "    def purchase_phase(self):\n        import numpy\n\n        numpy.random.default_rng(0)\n")
    assert "cannot import name 'SystemRandom' from 'random'" in PURCHASE.trial(path, ProcessSandbox()).found[0].text


def test_a_file_that_does_not_travel_is_named(found, tmp_path):
    text = HEAD + BUYS + "        open('share.txt'), open('not_there.txt')\n        __import__('knob')\n"
    first, second = sorted(found(text, share__txt="3", knob__py="x = 1"))
    assert "names 'share.txt', but share.txt does not travel with a submission of one file" in first
    assert "imports knob by import_module; knob.py does not travel" in second
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "README.md").write_text("")
    (folder / "weights.npy").write_text("")
    (folder / "run.py").write_text(HEAD + BUYS + f"        open('README.md'), open('weights.npy'), open('{tmp_path}/share.txt')\n")
    said = [f.text for f in examine(folder, "purchase").found]
    assert [text.split(",")[0] for text in said] == ["names 'README.md'"] + (
        [] if str(tmp_path).startswith("/tmp") else [f"names '{tmp_path}/share.txt'"]
    )


@pytest.mark.parametrize("name", ["metadata", "metadata.yaml", "METADATA.yml"])
def test_a_name_that_a_platform_takes_for_an_order_is_an_error_at_the_top_alone(tmp_path, name):
    mine = tmp_path / "mine"
    (mine / "inner").mkdir(parents=True)
    (mine / "run.py").write_text(HEAD + BUYS)
    (mine / "inner" / name).write_text("x")
    assert not examine(mine, "purchase").errors
    (mine / name).write_text("command: python steal.py")
    (error,) = examine(mine, "purchase").errors
    assert error.place == name
    assert "order to some platforms" in error.text


def test_a_path_of_this_machine_is_named(found, monkeypatch):
    monkeypatch.setattr("evaluator.submission.validate.SYSTEM", ())  # the checkout may lie in /tmp
    (line,) = found(HEAD + BUYS + f"        open({str(ROOT / 'README.md')!r})\n")
    assert "a path of this machine; where the submission is judged it does not exist" in line


@pytest.mark.parametrize("single", [True, False])
def test_a_judge_says_the_same_whatever_files_its_machine_has(tmp_path, monkeypatch, single):
    """What a judge finds goes back to the author, who could ask so whether a path of its machine exists."""
    monkeypatch.setattr("evaluator.submission.validate.SYSTEM", ())
    monkeypatch.setattr(os.path, "expanduser", lambda path: path.replace("~", str(tmp_path)))
    outside, folder = tmp_path / "outside.bin", tmp_path / "mine"
    folder.mkdir()
    names = [str(outside), f"{folder}/../outside.bin", "~/outside.bin", f"{tmp_path}/./outside.bin", "../outside.bin"]
    (folder / "run.py").write_text(f"{HEAD}{BUYS}        open({names})\n")
    path = folder / "run.py" if single else folder
    without = examine(path, "purchase", 20)
    outside.write_text("x")
    assert examine(path, "purchase", 20) == without
    assert without.found == ()
    assert len(examine(path, "purchase", 20, home=True).found) == 4, "at home its author is told of all that can be known"


def test_a_folder_where_the_kit_was_started_is_no_module(monkeypatch, tmp_path):
    """``python -m`` looks for modules where it was started, and a worker does not."""
    (tmp_path / "plans_of_the_organiser").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for cached in (import_checks.installed, import_checks._began):
        cached.cache_clear()
    try:
        assert not import_checks.installed("plans_of_the_organiser")
    finally:
        import_checks._began.cache_clear()


def crowd(folder: Path, count: int) -> Path:
    """Classes that all build on each other, by their text."""
    names = [f"c{n}" for n in range(count)]
    classes = "".join(f"class {name}({', '.join(names)}):\n    pass\n" for name in names)
    folder.mkdir()
    (folder / "run.py").write_text(f"from run import ZEWDPCBaseRun\n{classes}class Mine(ZEWDPCBaseRun):\n{BUYS}")
    return folder


def test_classes_that_build_on_all_others_are_asked_for_each_base_once(tmp_path, monkeypatch):
    """80 such classes took 6 s, 160 took 37 s: each question went through all classes, for each class and base again."""
    asked = []
    real = Sources.named
    monkeypatch.setattr(Sources, "named", lambda *args: asked.append(1) or real(*args))
    looked = []
    method = Class.method
    monkeypatch.setattr(Class, "method", lambda *args: looked.append(1) or method(*args))
    for count in (20, 80):
        asked.clear()
        looked.clear()
        found = examine(crowd(tmp_path / str(count), count), "purchase", 60)
        assert (found.found, found.class_name) == ((), "Mine")
        tracks = 1 + len(TRACKS)
        assert len(asked) <= tracks * (count + 2) ** 2
        assert len(looked) <= tracks * (count + 2) * (DEPTH + 2) + 200


def test_checks_that_take_too_long_end_in_a_warning_wherever_they_are(tmp_path, monkeypatch):
    folder = crowd(tmp_path / "mine", 12)
    (folder / "aicrowd.json").write_text('{"gpu": 3}')
    for ticks in (0, 1, 5, 20, 50, 100, 150):
        left = [ticks]

        def tick(self, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise OutOfTime

        monkeypatch.setattr(Sources, "tick", tick)
        found = examine(folder, "purchase", 60)
        assert "were not checked to the end, since 60 s were over" in found.warnings[-1].text, ticks
        assert "gpu" in found.errors[0].text, "what was found otherwise is said all the same"
    monkeypatch.undo()
    with pytest.raises(OutOfTime):
        Sources("run.py", {}, end=time.monotonic() - 1).tick()


def test_files_that_stay_behind_are_found_by_their_name_and_not_one_by_one(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "x.pyc").write_text("x")
    (folder / "old.pyc").write_text("x")
    (folder / "run.py").write_text(f"{HEAD}{BUYS}        open(['./old.pyc', '__pycache__/x.pyc', 'not/there.pyc'])\n")
    said = [finding.text for finding in examine(folder, "purchase", 20).found]
    assert [text.partition(",")[0] for text in said] == ["names './old.pyc'", "names '__pycache__/x.pyc'"]
    assert all("stays behind" in text for text in said)


def test_keys_of_the_manifest_are_compared_with_those_that_are_known(found):
    (line,) = found(HEAD + BUYS, aicrowd__json='{"licence": "MIT", "tags": []}')
    assert line == "warning aicrowd.json: the key 'licence' is not known, so it says nothing; did you mean 'license'?"
    (line,) = found(HEAD + BUYS, aicrowd__json='{"gpu": 3}')
    assert line.startswith("error ")
    assert "gpu is 3; it must be true or false" in line


def test_everything_in_the_manifest_is_found_at_once(found):
    wrong = json.dumps({"gpu": "yes", "authors": "Ada", "licence": "MIT", "code": "here"})
    said = found(HEAD + BUYS, aicrowd__json=wrong)
    assert [line.split()[0] for line in said] == ["error", "error", "error", "warning"]
    for part in (
        "gpu is 'yes'; it must be true or false",
        "authors is 'Ada'; it must be a list",
        "code is 'here'",
        "'licence' is not",
    ):
        assert sum(part in line for line in said) == 1, part


def test_a_package_that_nothing_promises_is_a_warning(found, monkeypatch):
    monkeypatch.setattr(import_checks, "_providers", lambda: {"pytest": ["pytest"], "sklearn": ["scikit-learn"]})
    (line,) = found("import pytest, sklearn\n" + HEAD + BUYS)
    assert line.startswith(
        "warning mine.py, line 1: imports pytest; it is installed here (pytest), but requirements.txt does not name"
    )


def test_sources_that_end_a_parser_are_named_and_the_others_are_looked_at():
    sources = {
        "a.py": b"x = 1\n",
        "b.py": b"x = " + b"-" * 200_000 + b"1",
        "c.py": b"(" * 5_000,
        "d.py": b"x = 1" + b"+1" * 100_000,
    }
    made = outlines(sources | {"e.py": b"class A: pass\n", "f.py": b"\0"}, 60)
    assert set(made) == {*sources, "e.py", "f.py"}
    assert [name for name, outline in made.items() if not outline.fault] == ["a.py", "e.py"]
    assert made["e.py"].classes[0].name == "A"


def test_parsing_ends_at_its_limit():
    began = time.monotonic()
    assert outlines(
        {"a.py": b"x = [" + b"1," * 1_500_000 + b"]\n"} | {f"{n}.py": b"x = 1\n" * 200_000 for n in range(20)}, 0.5
    ).keys() < {"a.py"} | {f"{n}.py" for n in range(20)}
    assert time.monotonic() - began < 10


def test_nothing_of_the_submission_is_run(found, tmp_path):
    found(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nimport ran_too\n" + HEAD + BUYS,
        ran_too__py=f"open({str(tmp_path / 'ran')!r}, 'w')\n",
    )
    assert not (tmp_path / "ran").exists()


def test_what_a_hook_is_offered_is_what_it_is_given(monkeypatch):
    """``offers`` is what ``validate`` judges by; the worker's calls are what a hook gets."""
    given = {}
    service = type("Service", (), {"channel": None, "clock_was_read": False})()
    service.call = lambda hook, order, **offered: given.setdefault(hook, tuple(offered)) and None
    track = PurchaseTrack(service)
    monkeypatch.setattr(track, "training_set", lambda order, arrays: None)
    monkeypatch.setattr(track, "test_set", lambda order, arrays: None)
    monkeypatch.setattr(track, "pool", lambda order: ([], SimpleNamespace(close=lambda: None, clock_was_read=False)))
    monkeypatch.setattr("evaluator.worker.purchase.prediction_array", lambda value, dataset: None)
    order = {"classes": [], "budget": 0}
    track.pre_training_phase(order, {})
    track.purchase_phase(order, {})
    with pytest.raises((AttributeError, TypeError)):  # there are no predictions to look at
        track.prediction_phase(order, {"rows": None})
    assert {hook: set(names) for hook, names in given.items()} == {hook: set(names) for hook, names in PurchaseTrack.offers.items()}
    interface = Interface.of("purchase")
    assert {"budget", "purchase_budget", "compute_budget", *ALWAYS} <= interface.offers["purchase_phase"]


# -- the verb, and the front door


def test_the_verb_lists_everything_and_its_status_says_whether_it_is_fit(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text("import sklaern\n" + method("def purchase_phase(self, budjet):"))
    assert main(["validate", str(path)]) == 1
    out = capsys.readouterr().out
    assert "imports sklaern" in out
    assert "'budjet'" in out
    assert "not fit to submit: 2 errors" in out
    path.write_text(method("def purchase_phase(self, budjet=1):"))
    assert main(["validate", str(path), "--no-run"]) == 0
    assert main(["validate", str(path), "--no-run", "--strict"]) == 1
    assert "not fit to submit (--strict): 1 warning" in capsys.readouterr().out
    assert main(["validate", str(path), "--no-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["fit_to_submit"], said["class"], len(said["warnings"])) == (True, "Mine", 1)
    (tmp_path / "own_loss.py").write_text("x = 1")
    assert main(["validate", str(tmp_path / "own_loss")]) == 1
    assert "did you mean 'own_loss.py'?" in " ".join(capsys.readouterr().out.split())
    assert main(["validate", str(tmp_path / "nowhere")]) == 1
    out = capsys.readouterr().out
    assert "does not exist" in out
    assert "did you mean" not in out
    assert "0 files" not in out, "nothing was read, so nothing was counted"
    assert main(["validate", "/"]) == 1
    assert "the submission /: it is the root of the file system; give a folder with a run.py" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_verb_names_what_its_requirements_ask_for_in_vain(tmp_path, capsys):
    (tmp_path / "run.py").write_text(HEAD + BUYS)
    (tmp_path / "requirements.txt").write_text("numpy\nno-such-package-of-ours>=2\n")
    assert main(["validate", str(tmp_path), "--no-run", "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert [finding["place"] for finding in warnings] == ["requirements.txt, line 2"]
    assert "no-such-package-of-ours>=2 is asked for, and not installed" in warnings[0]["text"]


def test_the_small_run_tells_what_only_a_run_can(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "mine.py"
    path.write_text(
        HEAD + "    def purchase_phase(self):\n        return [3]\n\n    def prediction_phase(self):\n        print(self.gone)\n"
    )
    assert main(["validate", str(path), "--sandbox", "process"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "error: prediction_phase: RUNTIME_ERROR in the small run: AttributeError in prediction_phase" in out
    assert "warning: purchase_phase: nothing was bought (0 of 4, in the small run)" in out
    assert "warning: purchase_phase: what was returned is not what was bought (purchase_phase returned 1 label that was not" in out
    assert f'File "{path}", line 9' in out
    path.write_text(HEAD + BUYS.replace("budget))", "budget - 1))"))
    assert main(["validate", str(path), "--sandbox", "process"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "warning: purchase_phase: a part of the budget was not spent (3 of 4 labels, in the small run). Labels that are" in out
    path.write_text(HEAD + BUYS)
    assert main(["validate", str(path), "--sandbox", "process"]) == 0
    assert "4 labels of 4 bought on 10 images" in " ".join(capsys.readouterr().out.split())


def three_classes(folder: Path) -> Path:
    """A submission of a round with three classes, and files that name the round: a round, a profile, options of a sweep."""
    rules = 'name = "thirds"\nclasses = ["oak", "ash", "yew"]\npairs = ["5:1"]\n'
    (folder / "round.toml").write_text(rules)
    (folder / "profile.toml").write_text(f'name = "small"\nembeddings = true\n[round]\n{rules}')
    (folder / "public.toml").write_text('profile = "profile.toml"\ndata = "data"\npairs = ["profile"]\nseeds = 2\n')
    path = folder / "mine.py"
    path.write_text(
        "import numpy as np\n"
        + HEAD
        + "    def pre_training_phase(self, training_dataset):\n"
        + "        assert training_dataset.labels.shape == (10, 3)\n"
        + "        print(training_dataset.classes, training_dataset.embeddings is None)\n\n"
        + BUYS
        + "\n    def prediction_phase(self, test_dataset):\n        return np.ones((len(test_dataset), 3))\n"
    )
    return path


@pytest.mark.parametrize("option", ["--file public.toml", "--profile profile.toml", "--round round.toml"])
def test_the_small_run_has_the_classes_of_the_round_that_is_named(tmp_path, capsys, option):
    name, file = option.split()
    path = three_classes(tmp_path)
    assert main(["validate", str(path), "--sandbox", "process", name, str(tmp_path / file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] == said["warnings"] == []
    assert "10 images with the 3 classes of the round thirds" in said["run"]


def test_the_small_run_gives_embeddings_where_the_profile_does(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(HEAD + BUYS + "        assert unlabelled_dataset.embeddings.shape == (10, 1792)\n")
    assert [finding.place for finding in PURCHASE.trial(path, ProcessSandbox()).found] == ["purchase_phase", "prediction_phase"]
    assert PURCHASE.trial(path, ProcessSandbox(), None, {"profile": "rare"}).found == ()


def test_embeddings_of_the_small_run_are_as_wide_as_those_of_a_round():
    from evaluator.training.network import build_network

    for name in PROXIES:
        architecture = PIPELINES[name].architecture
        (head,) = (
            m for m in build_network(architecture, 2, seed=1).get_submodule("classifier").modules() if hasattr(m, "in_features")
        )
        assert head.in_features == trial.FEATURES[architecture]


def test_a_wrong_number_of_columns_says_which_round_was_tried_and_how_to_name_another(tmp_path):
    path = three_classes(tmp_path)
    path.write_text(path.read_text().replace("        assert training_dataset.labels.shape == (10, 3)\n", ""))
    (finding,) = PURCHASE.trial(path, ProcessSandbox()).found
    assert (
        "shape (10, 3); expected (10, 6): 6 columns, as many as the round has classes. The small run had the 6 classes of the "
        in (finding.text)
    )
    assert "name it with --file, --profile or --round" in finding.text
    (named,) = PURCHASE.trial(path, ProcessSandbox(), None, {"profile": "quick"}).found
    assert "--round" not in named.text, "its round was named"


def test_a_slip_in_the_manifest_hides_nothing_that_a_run_finds(tmp_path, capsys):
    (tmp_path / "run.py").write_text(HEAD + "    def purchase_phase(self):\n        self.gone\n")
    (tmp_path / "aicrowd.json").write_text('{"gpu": "yes"}')
    (tmp_path / "apt.txt").write_text("no name\n")
    assert main(["validate", str(tmp_path), "--sandbox", "process", "--json"]) == 1
    places = [error["place"] for error in json.loads(capsys.readouterr().out)["errors"]]
    assert sorted(places) == sorted(["apt.txt, line 1", str(tmp_path / "aicrowd.json"), "purchase_phase"])
    (tmp_path / "run.py").write_text("import sklaern\n" + HEAD + BUYS)
    assert main(["validate", str(tmp_path), "--sandbox", "process", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["run"] == "not run, because of 1 error in what a run needs. Mend that first"


SLEEPS = "        import time\n\n        time.sleep(60)\n"


@pytest.mark.parametrize(
    ("asked", "kind"),
    [({}, "warning"), ({"profile": "official"}, "warning"), ({"profile": "short"}, "error")],
    ids=["no round is named", "a round that gives more time", "a round that gives no more"],
)
def test_a_phase_that_does_not_end_leaves_others_untried_and_says_so(tmp_path, monkeypatch, asked, kind):
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    (tmp_path / "short.toml").write_text('name = "short"\nlike = "debug"\nseconds_per_minute = 0.001\n')
    (tmp_path / "mine.py").write_text(HEAD + BUYS + SLEEPS)
    given = {name: str(tmp_path / "short.toml") if value == "short" else value for name, value in asked.items()}
    ended, untried = PURCHASE.trial(tmp_path / "mine.py", ProcessSandbox(), None, given).found
    assert (ended.kind, ended.place) == (kind, "purchase_phase")
    assert "TIME_LIMIT in the small run" in ended.text
    assert (untried.kind, untried.place) == ("warning", "prediction_phase")
    assert untried.text.startswith("not tried, because purchase_phase ended with TIME_LIMIT; every phase was to be tried. Have it ")


def test_an_error_in_a_phase_says_which_phases_were_not_tried(tmp_path):
    (tmp_path / "mine.py").write_text(HEAD + BUYS + "\n    def pre_training_phase(self):\n        self.gone\n")
    failed, untried = PURCHASE.trial(tmp_path / "mine.py", ProcessSandbox()).found
    assert (failed.kind, failed.place) == ("error", "pre_training_phase")
    assert (untried.place, untried.text[-17:]) == ("purchase_phase and prediction_phase", ". Mend that first")
    (tmp_path / "mine.py").write_text("raise OSError\n" + HEAD + BUYS)
    failed, untried = PURCHASE.trial(tmp_path / "mine.py", ProcessSandbox()).found
    assert failed.place == "the start"
    assert untried.place == "pre_training_phase, purchase_phase and prediction_phase"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "x"], "--data: the submission is code, which is run on a few made-up images and held against no task; of the "),
        (["--seeds", "2"], "--seeds: the submission is code"),
        (["--track", "cleaning", "--round", "round2"], "--round: the track cleaning has no rounds in files of their own"),
    ],
)
def test_an_option_that_says_nothing_of_the_small_run_is_refused(tmp_path, capsys, options, said):
    path = tmp_path / "mine.py"
    text = HEAD + BUYS if "--track" not in options else "class Mine:\n    def rank(self, training_set):\n        return []\n"
    path.write_text(text)
    assert main(["validate", str(path), *options]) == 2
    assert said in capsys.readouterr().err


def test_an_error_ends_the_front_door_before_data_and_torch_are_loaded(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(method("def purchase_phase(self, budjet):"))
    code = f"""
import sys, local_evaluation
status = local_evaluation.main(["--submission", {str(path)!r}, "--out", {str(tmp_path / "out")!r}, "--data", "/nowhere"])
print(status, "torch" in sys.modules)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    assert run.stdout.split() == ["1", "False"], run.stderr
    assert "purchase_phase asks for 'budjet'" in run.stderr
    assert "not fit to submit: 1 error" in run.stderr
