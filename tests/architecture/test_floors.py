"""The plan of the house, held against the imports: they only go down, in no circle, and the worker's half stands alone."""

import ast
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "evaluator.errors": 1,
    "evaluator.text": 1,
    "evaluator.toml_keys": 1,
    "evaluator.bounded": 1,
    "evaluator.files": 1,
    "evaluator.interrupts": 1,
    "evaluator.machine": 1,
    "evaluator.places": 1,
    "evaluator.seeds": 1,
    "evaluator.secret": 1,
    "evaluator.words": 1,
    "evaluator.scoring": 2,
    "evaluator.worker": 3,
    "evaluator.strategies": 4,
    "evaluator.data": 4,
    "evaluator.training": 5,
    "evaluator.sandbox": 6,
    "evaluator.submission": 7,
    "evaluator.fields": 7,
    "evaluator.specs": 7,
    "evaluator.records": 7,
    "evaluator.sections": 7,
    "evaluator.plans": 8,
    "evaluator.tables": 8,
    "evaluator.track": 8,
    "evaluator.history.checksum": 8,
    "evaluator.history": 9,
    "evaluator.report": 10,
    "evaluator.runner": 11,
    "evaluator.purchase": 12,
    "evaluator.cleaning": 12,
    "evaluator.audit": 12,
    "evaluator.curation": 12,
    "evaluator.sweep": 13,
    "evaluator.judging": 14,
    "evaluator.rounds": 14,
    "evaluator.export": 14,
    "evaluator.cli": 14,
    "evaluator.__main__": 15,
    "local_evaluation": 15,
}
UNPLANNED = {"evaluator", "run"}  # the package itself holds a version; the participant interface stands beside the house
OUTSIDE = {
    "benchmarks.pages": 17,
    "benchmarks.stopwatch": 18,
    "benchmarks": 19,
    "experiments": 20,
}
"""Floors of what is outside the product: it may import the product and what is below it here."""
FOLDERS = ("evaluator", *dict.fromkeys(part.split(".")[0] for part in OUTSIDE))
FILES = [*(path for name in FOLDERS for path in sorted((ROOT / name).rglob("*.py"))), ROOT / "local_evaluation.py", ROOT / "run.py"]
TESTS = {"tests", *(path.stem for pattern in ("*.py", "*/test_*.py") for path in (ROOT / "tests").glob(pattern))}
"""Names under which code of the tests can be imported."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


WORKER = ROOT / "evaluator" / "worker"
MODULES = {name_of(path): path for path in FILES}
ALL_FLOORS = FLOORS | OUTSIDE


def place(module: str, parts: Iterable[str] = ALL_FLOORS) -> str | None:
    """The part that a module belongs to."""
    known = [part for part in parts if module == part or module.startswith(part + ".")]
    return max(known, key=len, default=None)


def outside(module: str) -> bool:
    """Whether a module is no part of the product."""
    return place(module, OUTSIDE) is not None


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, at its top or inside a function, as far as it is named."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # The worker's package also runs under another name, so its modules find each other without one.
            assert node.level == 0 or (node.level == 1 and path.parent == WORKER), f"{path}: imports are absolute"
            assert node.level or path.parent != WORKER or not node.module.startswith("evaluator"), f"{path}: {node.module}"
            source = f"evaluator.worker.{node.module}" if node.level else node.module
            # ``from package import module`` imports the module.
            for alias in node.names:
                full = f"{source}.{alias.name}"
                found.add(full if full in MODULES else source)
    return frozenset(found)


def own_imports(module: str) -> set[str]:
    return {name for name in imports(MODULES[module]) if name in MODULES and name not in UNPLANNED} - {module}


def test_every_module_has_its_place_in_the_house():
    assert [name for name in MODULES if name not in UNPLANNED and place(name) is None] == []


def test_imports_only_go_down():
    floor = {name: ALL_FLOORS[place(name)] for name in MODULES if name not in UNPLANNED}
    upward = [
        f"{module} (floor {floor[module]}) imports {name} (floor {floor[name]})"
        for module in floor
        for name in sorted(own_imports(module))
        if floor[name] > floor[module]
    ]
    assert upward == []


def test_no_module_imports_itself_by_a_detour():
    graph = {name: own_imports(name) for name in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_part_of_the_house_needs_another_that_needs_it():
    """Parts are the floors of the product, each house of the benchmarks, and the experiments."""
    graph: dict[str, set[str]] = {}
    for name in MODULES:
        if name not in UNPLANNED:
            graph.setdefault(part_of(name), set()).update(part_of(other) for other in own_imports(name))
    TopologicalSorter({part: others - {part} for part, others in graph.items()}).prepare()


def part_of(module: str) -> str | None:
    """The part of the product; of benchmarks the house, which is a folder, or a single file."""
    return ".".join(module.split(".")[:2]) if module.startswith("benchmarks.") else place(module)


def test_the_product_imports_no_benchmark_and_no_experiment():
    guilty = [
        f"{module}: {name}"
        for module in MODULES
        if not outside(module)
        for name in sorted(imports(MODULES[module]))
        if name.split(".")[0] in ("benchmarks", "experiments")
    ]
    assert guilty == []


def test_nothing_imports_the_tests():
    guilty = [f"{name}: {found}" for name in MODULES for found in sorted(imports(MODULES[name])) if found.split(".")[0] in TESTS]
    assert guilty == []


def test_the_workers_half_imports_nothing_else_of_the_kit():
    allowed = {"run", "numpy", "PIL", "pyarrow", "torch", "torch.utils.data"}  # the last four where they are used, not to start
    own = ("evaluator.worker", "_dck_worker")
    # What notebooks import of it when they call ``run.practice``; a worker has no such module.
    notebooks = ("run", "evaluator.purchase.practice")
    guilty = [
        f"{module}: {name}"
        for module in MODULES
        if module.startswith("evaluator.worker") or module == "run"
        for name in sorted(imports(MODULES[module]))
        if not (name.split(".")[0] in sys.stdlib_module_names or name in allowed or name.startswith(own))
        and (module, name) != notebooks
    ]
    assert guilty == []


def test_the_trusted_half_never_imports_or_runs_what_it_is_given():
    makers = {"importlib", "runpy", "imp", "pkgutil", "pickle", "marshal", "shelve", "dill", "joblib"}
    guilty = []
    for module, path in MODULES.items():
        if module.startswith("evaluator.worker") or outside(module):
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
