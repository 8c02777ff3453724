"""The rule by which the participant's class is found, each line of it."""

import sys

import pytest

from evaluator.worker.loader import SubmissionNotFound, entry_file, find_class, load_entry

STRATEGY = "from run import ZEWDPCBaseRun\nclass {name}(ZEWDPCBaseRun):\n    def purchase_phase(self):\n        pass\n"
PLAIN = "class {name}:\n    def purchase_phase(self):\n        pass\n"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Imports of submissions leave no trace in this process."""
    import run  # noqa: F401  (the worker imports the kit's interface before any submission)

    before = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def found(path):
    folder = path if path.is_dir() else path.parent
    return find_class(load_entry(path), folder, "purchase_phase", "ZEWDPCBaseRun", "run").__name__


def test_run_py_is_the_entry_before_anything_else(tmp_path):
    folder = write(tmp_path, run=STRATEGY.format(name="A"), __init__=STRATEGY.format(name="B"), other=STRATEGY.format(name="C"))
    assert entry_file(folder).name == "run.py"
    assert found(folder) == "A"


def test_then_a_package_that_holds_something(tmp_path):
    folder = write(tmp_path, __init__="from .other import *\n", other=STRATEGY.format(name="C"))
    assert entry_file(folder).name == "__init__.py"
    assert found(folder) == "C"


def test_then_the_only_file(tmp_path):
    folder = write(tmp_path, __init__="", thing=STRATEGY.format(name="C"))
    assert entry_file(folder).name == "thing.py"
    assert found(folder) == "C"


def test_a_file_may_be_named_itself(tmp_path):
    folder = write(tmp_path, run=STRATEGY.format(name="A"), other=STRATEGY.format(name="B"))
    assert found(folder / "other.py") == "B"


@pytest.mark.parametrize(
    ("files", "named", "said"),
    [
        ({"a": "", "b": ""}, "", "a.py, b.py"),
        ({}, "", "no .py file"),
        ({}, "absent", "does not exist"),
        ({}, "notes.txt", "no Python file"),
    ],
)
def test_no_entry_is_an_error_that_says_what_is_there(tmp_path, files, named, said):
    folder = write(tmp_path, **files)
    (folder / "notes.txt").write_text("")
    with pytest.raises(SubmissionNotFound, match=said) as caught:
        entry_file(folder / named if named else folder)
    assert "run.py" in str(caught.value)


def test_relative_and_absolute_imports_of_own_modules_work(tmp_path):
    folder = write(
        tmp_path / "my-strange name",
        __init__="",
        run="from .models import x\nfrom tools_of_mine import y\n" + STRATEGY.format(name="A"),
        models="x = 1\n",
        tools_of_mine="y = 1\n",
    )
    assert found(folder) == "A"


def test_a_folder_cannot_shadow_a_package_by_its_name(tmp_path):
    folder = write(tmp_path / "numpy", __init__="", run="import numpy\nassert numpy.array\n" + STRATEGY.format(name="A"))
    assert found(folder) == "A"


def test_an_edited_base_class_counts_by_itself(tmp_path):
    folder = write(tmp_path, run=PLAIN.format(name="ZEWDPCBaseRun"))
    assert found(folder) == "ZEWDPCBaseRun"


def test_an_edited_base_class_does_not_count_where_it_is_subclassed(tmp_path):
    folder = write(tmp_path, run=PLAIN.format(name="ZEWDPCBaseRun") + "class Mine(ZEWDPCBaseRun):\n    pass\n")
    assert found(folder) == "Mine"


def test_the_kits_own_class_is_no_candidate(tmp_path):
    folder = write(tmp_path, run="from run import ZEWDPCBaseRun\n")
    with pytest.raises(SubmissionNotFound, match="subclasses ZEWDPCBaseRun"):
        found(folder)


def test_a_class_from_another_file_of_the_submission_counts(tmp_path):
    folder = write(tmp_path, run="from strategies import A\n", strategies=STRATEGY.format(name="A") + STRATEGY.format(name="B"))
    assert found(folder) == "A"


def test_two_names_for_one_class_are_one_candidate(tmp_path):
    assert found(write(tmp_path, run=STRATEGY.format(name="A") + "Submission = A\n")) == "A"


def test_two_candidates_are_named(tmp_path):
    folder = write(tmp_path, run=STRATEGY.format(name="A") + STRATEGY.format(name="B"))
    with pytest.raises(SubmissionNotFound, match=r"2 classes with a purchase_phase \(A, B\); leave one class in it"):
        found(folder)


def test_a_siblings_class_hierarchy_has_one_leaf(tmp_path):
    text = STRATEGY.format(name="A") + "class B(A):\n    pass\nclass C(B):\n    pass\n"
    assert found(write(tmp_path, run=text)) == "C"


def test_a_misspelt_hook_is_named_with_its_class_and_file(tmp_path):
    text = STRATEGY.format(name="Mine").replace("purchase_phase", "purchase_fase")
    with pytest.raises(SubmissionNotFound) as caught:
        found(write(tmp_path, run=text))
    assert str(caught.value) == (
        "run.py: the class Mine has no purchase_phase of its own, but purchase_fase in the class Mine (did you mean "
        "purchase_phase?); override purchase_phase"
    )


@pytest.mark.parametrize(("text", "what"), [("3", "an int"), ("property(print)", "a property"), ("None", "")])
def test_a_hook_that_is_no_method_is_named_with_what_it_is(tmp_path, text, what):
    with pytest.raises(SubmissionNotFound) as caught:
        found(write(tmp_path, run=f"class Mine:\n    purchase_phase = {text}\n"))
    said = f"run.py: purchase_phase of the class Mine is {what}; a method was expected. Write def purchase_phase(self, ...)"
    assert str(caught.value) == said if what else "holds no class" in str(caught.value)


def test_a_misspelt_hook_without_the_base_class_is_named_too(tmp_path):
    text = PLAIN.format(name="Mine").replace("purchase_phase", "purchasephase")
    with pytest.raises(SubmissionNotFound, match=r"purchasephase in the class Mine \(did you mean purchase_phase\?\)"):
        found(write(tmp_path, run=text))


def test_a_hook_that_is_inherited_from_a_class_of_ones_own_counts(tmp_path):
    text = STRATEGY.format(name="A") + "class B(A):\n    pass\n"
    assert found(write(tmp_path, run=text)) == "B"


def test_protocols_and_generic_aliases_beside_the_class_are_no_candidates(tmp_path):
    text = (
        "from typing import Generic, Protocol, TypeVar\nT = TypeVar('T')\nIndices = list[int]\n"
        "class Buys(Protocol):\n    def purchase_phase(self): ...\n"
        "class Base(Generic[T]):\n    def purchase_phase(self):\n        pass\n"
        "OfInt = Base[int]\n"
        "class Mine(Base[int], Buys):\n    pass\n"
    )
    assert found(write(tmp_path, run=text)) == "Mine"


def test_what_editors_and_file_managers_leave_is_no_candidate_for_the_entry(tmp_path):
    folder = write(tmp_path, mine=STRATEGY.format(name="Mine"))
    for name in ("._mine.py", ".#mine.py", "mine.py~", "4913", ".mine.py.swp"):
        (folder / name).write_text("no Python")
    assert entry_file(folder).name == "mine.py"
