"""What Python sources say of themselves: whether they compile, what they import, their classes and methods. Nothing of them is run.

Python's parser is not made for sources of strangers: a module of 200,000 signs ``-`` ends the process that parses it. So this file
is the whole program of a process of its own with limits, which the evaluator starts (``evaluator.submission.outlines``). It reads
sources from its standard input and writes one line of JSON per source, so that the evaluator knows by the last line which source
ended it. Standard library only.
"""

from __future__ import annotations

import ast
import json
import resource
import struct
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import IO, Any

MEMORY = 1 << 30
"""Bytes that this process may allocate."""
MOST = 400
"""Largest number of classes, methods, imports, strings and names that are told of one source, each."""
LONGEST = 200
"""Largest number of characters of a name or a string that is told."""
GUARDS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
"""What an ``except`` around an import names where the module may be missing."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SIZE = struct.Struct(">II")


def outline(name: str, source: bytes) -> dict[str, Any]:
    """The facts of one source, JSON-able; ``Outline`` of ``evaluator.submission.outlines`` lists them."""
    try:
        tree = ast.parse(source, name)
        compile(tree, name, "exec", dont_inherit=True)  # finds what the grammar alone allows, e.g. a return outside a function
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 0
        text = str(getattr(error, "msg", "") or error) or "it is nested too deep to be parsed"
        return {"file": name, "fault": f"{type(error).__name__}: {text}"[:LONGEST], "fault_line": line}
    facts = _Facts(name)
    facts.block(tree.body, when="start")
    return facts.as_dict()


class _Facts:
    def __init__(self, name: str) -> None:
        self.name = name
        self.imports: list[list[Any]] = []
        self.bound: dict[str, list[Any]] = {}
        self.classes: list[dict[str, Any]] = []
        self.used: set[str] = set()
        self.strings: dict[str, int] = {}
        self.dynamic = False

    def as_dict(self) -> dict[str, Any]:
        strings = [[text, line] for text, line in self.strings.items()]
        return {
            "file": self.name,
            "imports": self.imports[:MOST],
            "bound": dict(list(self.bound.items())[:MOST]),
            "classes": self.classes[:MOST],
            "used": sorted(self.used)[: 10 * MOST],
            "strings": strings[:MOST],
            "dynamic": self.dynamic,
        }

    def block(self, body: Iterable[ast.stmt], when: str) -> None:
        """Statements that run when the module is imported. ``when``: ``start``, or ``guarded`` where a module may be missing."""
        waiting = [(statement, when) for statement in body]
        for statement, at in waiting:  # the list grows while it is read: no recursion, however deep the blocks lie
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                self._imported(statement, at, bind=True)
                continue
            if isinstance(statement, ast.ClassDef):
                self.classes.append(_class_of(statement))
                self._inside(statement, at)
                continue
            if isinstance(statement, ast.Try) or type(statement).__name__ == "TryStar":
                inner = "guarded" if any(map(_guards, statement.handlers)) else at  # type: ignore[attr-defined]
                waiting += [(part, inner) for part in statement.body]  # type: ignore[attr-defined]
                for handler in statement.handlers:  # type: ignore[attr-defined]
                    waiting += [(part, "guarded") for part in handler.body]
                waiting += [(part, at) for part in (*statement.orelse, *statement.finalbody)]  # type: ignore[attr-defined]
                continue
            if isinstance(statement, ast.If):
                waiting += [(part, "guarded") for part in (*statement.body, *statement.orelse)]
                self._inside(statement.test, at)
                continue
            if isinstance(statement, (ast.With, ast.For, ast.While)):
                waiting += [(part, at) for part in (*statement.body, *getattr(statement, "orelse", ()))]
                self.dynamic = True
                continue
            if isinstance(statement, (ast.Assign, ast.AnnAssign)):
                # A class may be made by a call, or have a second name.
                self.dynamic |= isinstance(statement.value, (ast.Call, ast.Name, ast.Attribute))
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                self.dynamic = True  # e.g. setattr, globals().update
            self._inside(statement, "later" if isinstance(statement, FUNCTIONS) else at)

    def _inside(self, node: ast.AST, when: str) -> None:
        """What is used within a node, and imports in functions."""
        for inner in ast.walk(node):
            if isinstance(inner, (ast.Import, ast.ImportFrom)):
                self._imported(inner, "later" if when != "guarded" else when, bind=False)
            elif isinstance(inner, ast.Attribute):
                self.used.add(inner.attr[:LONGEST])
            elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                text = inner.value
                if 2 < len(text) <= LONGEST and not any(c.isspace() for c in text) and ("." in text or "/" in text):
                    self.strings.setdefault(text, inner.lineno)
                self.used.add(text[:LONGEST]) if text.isidentifier() else None  # getattr(self, "name")
            elif isinstance(inner, ast.Call) and _dotted(inner.func).rpartition(".")[2] in ("import_module", "__import__"):
                given = inner.args[0] if inner.args else None
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    self.imports.append([given.value[:LONGEST], 0, inner.lineno, "hidden"])

    def _imported(self, node: ast.Import | ast.ImportFrom, when: str, bind: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports.append([alias.name[:LONGEST], 0, node.lineno, when])
            return
        module = (node.module or "")[:LONGEST]
        self.imports.append([module, node.level, node.lineno, when])
        for alias in node.names:
            if alias.name == "*":
                self.dynamic = True
            elif bind:
                self.bound[(alias.asname or alias.name)[:LONGEST]] = [module, node.level, alias.name[:LONGEST]]


def _class_of(node: ast.ClassDef) -> dict[str, Any]:
    methods: list[dict[str, Any]] = []
    others: list[str] = []
    values: dict[str, list[Any]] = {}
    for part in node.body:
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            methods.append(_method_of(part))
        elif isinstance(part, (ast.Assign, ast.AnnAssign)):
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            names = [target.id[:LONGEST] for target in targets if isinstance(target, ast.Name)]
            others += names
            if what := _value(part.value):
                values |= {name: [what, part.lineno] for name in names}
        elif not isinstance(part, (ast.Expr, ast.Pass)):
            others.append("?")  # methods may be made under a condition
    return {
        "name": node.name[:LONGEST],
        "line": node.lineno,
        "bases": [_dotted(base)[:LONGEST] for base in node.bases][:MOST],
        "odd": bool(node.decorator_list or node.keywords),
        "methods": methods[:MOST],
        "others": others[:MOST],
        "values": dict(list(values.items())[:MOST]),
    }


def _value(node: ast.expr | None) -> str:
    """What a value is that is no method for sure, in words; empty for all else."""
    if isinstance(node, ast.Constant):
        return "None" if node.value is None else f"the value {node.value!r}"[:LONGEST]
    names = {ast.List: "a list", ast.Tuple: "a tuple", ast.Dict: "a dict", ast.Set: "a set"}
    return names.get(type(node), "")


def _method_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    without = len(plain) - len(given.defaults)
    parameters = [
        [argument.arg[:LONGEST], "positional" if i < len(given.posonlyargs) else "plain", i >= without]
        for i, argument in enumerate(plain)
    ]
    parameters += [
        [argument.arg[:LONGEST], "plain", default is not None]
        for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    yields = any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in _own(node))
    waits = isinstance(node, ast.AsyncFunctionDef)
    return {
        "name": node.name[:LONGEST],
        "line": node.lineno,
        "kind": ("an asynchronous generator" if yields else "a coroutine") if waits else ("a generator" if yields else ""),
        "decorators": [_dotted(part)[:LONGEST] for part in node.decorator_list][:MOST],
        "parameters": parameters[:MOST],
        "many": given.vararg is not None,
        "rest": given.kwarg is not None,
    }


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What lies in a function, but not in functions and classes within it."""
    waiting = list(ast.iter_child_nodes(node))
    for inner in waiting:
        yield inner
        if not isinstance(inner, (*FUNCTIONS, ast.ClassDef, ast.GeneratorExp)):
            waiting += ast.iter_child_nodes(inner)


def _guards(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or _dotted(kind).rpartition(".")[2] in GUARDS for kind in kinds)


def _dotted(node: ast.AST) -> str:
    """``a.b`` of a name with its attributes, also where it is called or subscripted; ``?`` for anything else."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Name):
            return ".".join([node.id, *reversed(parts)])
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            return "?"


def _sources(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    while head := file.read(_SIZE.size):
        name, size = _SIZE.unpack(head)
        yield file.read(name).decode("utf-8"), file.read(size)


def main() -> None:
    """Outline every source of the standard input."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    for name, source in _sources(sys.stdin.buffer):
        try:
            facts = outline(name, source)
        except (RecursionError, MemoryError) as error:
            facts = {"file": name, "fault": f"{type(error).__name__}: it is nested too deep to be looked at", "fault_line": 0}
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
