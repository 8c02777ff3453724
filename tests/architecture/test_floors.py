"""The plan of the house, held against the imports: they only go down, in no circle, and the worker's half stands alone."""

import ast
import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "evaluator.errors": 1,
    "evaluator.files": 1,
    "evaluator.machine": 1,
    "evaluator.seeds": 1,
    "evaluator.scoring": 2,
    "evaluator.worker": 3,
    "evaluator.strategies": 4,
    "evaluator.training": 5,
    "evaluator.sandbox": 6,
    "evaluator.data": 4,
    "evaluator.submission": 7,
    "evaluator.history.checksum": 8,
    "evaluator.history": 9,
    "evaluator.purchase": 10,
    "evaluator.runner": 11,
    "evaluator.sweep": 12,
    "evaluator.purchase.replay": 12,
    "evaluator.purchase.heat": 13,
    "evaluator.sweep.table": 14,
    "evaluator.sweep.run": 14,
    "evaluator.report": 14,
    "evaluator.cli": 15,
    "evaluator.__main__": 16,
    "local_evaluation": 16,
}
UNPLANNED = {"evaluator", "run"}  # the package itself holds a version; the participant interface stands beside the house
FILES = [*sorted((ROOT / "evaluator").rglob("*.py")), ROOT / "local_evaluation.py", ROOT / "run.py"]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def place(module: str) -> str | None:
    """The part of the house that a module belongs to."""
    known = [part for part in FLOORS if module == part or module.startswith(part + ".")]
    return max(known, key=len, default=None)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function, as far as it is named."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # ``from package import module`` imports the module.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


def own_imports(module: str) -> set[str]:
    return {name for name in imports(MODULES[module]) if name in MODULES and name not in UNPLANNED} - {module}


def test_every_module_has_its_place_in_the_house():
    assert [name for name in MODULES if name not in UNPLANNED and place(name) is None] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_only_go_down(module):
    if module in UNPLANNED:
        return
    floor = FLOORS[place(module)]
    above = {name: FLOORS[place(name)] for name in own_imports(module) if FLOORS[place(name)] > floor}
    assert above == {}, f"{module} is on floor {floor}"


def test_no_module_imports_itself_by_a_detour():
    graph = {name: own_imports(name) for name in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_part_of_the_house_needs_another_that_needs_it():
    graph: dict[str, set[str]] = {}
    for name in MODULES:
        if name not in UNPLANNED:
            graph.setdefault(place(name), set()).update(place(other) for other in own_imports(name))
    TopologicalSorter({part: others - {part} for part, others in graph.items()}).prepare()


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if name.startswith("evaluator.worker") or name == "run"])
def test_the_workers_half_imports_nothing_else_of_the_kit(module):
    outside = {name for name in imports(MODULES[module]) if name.split(".")[0] not in sys.stdlib_module_names}
    allowed = {"numpy", "PIL", "torch", "torch.utils.data"}  # the last three where they are used, not to start
    kit = {name for name in outside if name.split(".")[0] in ("evaluator", "run", "local_evaluation")}
    assert all(name.startswith("evaluator.worker") or name == "run" for name in kit), kit
    assert outside - kit <= allowed


def test_the_trusted_half_never_imports_or_runs_what_it_is_given():
    makers = {"importlib", "runpy", "imp", "pkgutil", "pickle", "marshal", "shelve", "dill", "joblib"}
    guilty = []
    for module, path in MODULES.items():
        if module.startswith("evaluator.worker"):
            continue
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        # The metadata of installed packages is read, not run.
        for name in imports(path):
            named_error = name == "pickle" and text.count("pickle.") == text.count("pickle.UnpicklingError")
            if name.split(".")[0] in makers and name != "importlib.metadata" and not named_error:
                guilty.append(f"{module}: {name}")
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("exec", "eval", "__import__", "compile")
            ):
                guilty.append(f"{module}: {node.func.id} in line {node.lineno}")
    assert guilty == []


def loaded(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    return set(
        json.loads(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True).stdout)
    )


def test_importing_the_kit_is_free():
    modules = loaded("import evaluator")
    assert {name for name in modules if name.startswith("evaluator")} == {"evaluator"}
    assert modules & {"numpy", "torch", "sklearn", "PIL", "rich"} == set()


def test_the_worker_starts_with_numpy_alone():
    modules = loaded("import run, evaluator.worker.__main__")
    assert {name for name in modules if name.startswith("evaluator.") and not name.startswith("evaluator.worker")} == set()
    assert modules & {"torch", "sklearn", "PIL", "rich", "pandas", "scipy", "tqdm"} == set()


def test_the_front_doors_help_does_not_wait_for_torch():
    assert "torch" not in loaded("import local_evaluation; local_evaluation.build_parser()")


def test_the_trusted_process_never_loads_a_submission(strategy, session, told):
    path = strategy("def purchase_phase(self):\n    tell(os.getpid())")
    result = session(path)
    assert told(result)[0] != os.getpid()
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    assert [file for file in files if file.startswith(str(path))] == []
    assert not list(path.glob("__pycache__"))
