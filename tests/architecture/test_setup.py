"""The outside of the house: what README and docs say is what the kit does, and set-up takes what it says it takes."""

import ast
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from documented import documented, paths
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import local_evaluation
from docs import make_format, make_picture
from docs.make_picture import picture
from evaluator import __version__
from evaluator.errors import Verdict
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.rounds import NODE
from evaluator.sandbox.limits import GIB, Limits
from evaluator.training import recipes
from evaluator.training.recipes import PIPELINES
from evaluator.worker.purchase import ALIASES
from tests import durations

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOP = {"sklearn": "scikit-learn", "PIL": "pillow"}
"""Packages whose import name is not their own."""
FOR_SUBMISSIONS = {"tqdm"}
"""Required for participants' sake alone."""
WHERE_THERE = {"cleanlab", "detect_secrets", "matplotlib", "openTSNE", "pyarrow", "ray", "skactiveml", "triton", "yaml"}
"""Imported inside a function: an extra, or done without where it is missing."""


@pytest.fixture(scope="module")
def run(tiny, data_folder, tmp_path_factory):
    """Evaluate a submission on the tiny data through the front door: the exit status and the folder of results."""
    home = tmp_path_factory.mktemp("kit")

    def evaluate(submission: Path, name: str, *more: str) -> tuple[int, Path]:
        out = home / name
        options = ["--profile", "tiny", "--data", str(data_folder), "--out", str(out), "--submission", str(submission)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PROFILES, "tiny", tiny)
            patch.setattr("evaluator.places.DATA", home / "data")
            return local_evaluation.main([*options, "--device", "cpu", "--threads", "1", *more]), out

    return evaluate


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The strategy that README shows, as a submission."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1, "README shows one strategy, and this test must know which it is"
    folder = tmp_path_factory.mktemp("readme") / "example"
    folder.mkdir()
    (folder / "run.py").write_text(blocks[0])
    return folder


@pytest.mark.parametrize("budget", [0, 1, 5, 20, 30])
def test_the_strategy_of_readme_buys_all_that_it_may_and_no_more(example, budget):
    names: dict = {}
    exec((example / "run.py").read_text(), names)
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    images[10:] = images[0]  # equal images: centres have the same nearest image
    bought: list[int] = []

    class Pool:
        def __init__(self):
            self.images = images

        def __len__(self):
            return len(images)

        def purchase_labels(self, indices):
            bought.extend(map(int, indices))

    names["Spread"]().purchase_phase(Pool(), budget, 0)
    assert len(bought) == len(set(bought)) == min(budget, 20)


@pytest.fixture(scope="module")
def results(run, example) -> Path:
    """The results folder of one whole run of README's strategy."""
    status, out = run(example, "results")
    assert status == 0
    return out


@pytest.fixture(scope="module")
def panel(run, example) -> Path:
    """The results folder of the same strategy before a panel of two."""
    two = {name: replace(PIPELINES["milliseconds"], name=name) for name in ("first", "second")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "PANEL", tuple(two))
        for name, pipeline in two.items():
            patch.setitem(PIPELINES, name, pipeline)
        status, out = run(example, "panel", "--panel", "--pair", "621:17")
    assert status == 0
    return out


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_the_strategy_in_the_readme_is_ten_lines_and_buys_what_it_says(results, example):
    lines = [line for line in (example / "run.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 10
    summary = json.loads(only(results, "*-example/result.json").read_text())
    assert summary["verdict"] == "OK"
    assert summary["fit_to_submit"]
    for row in summary["pairs"]:
        assert 0 < row["bought"][0] <= row["budget"]
        assert row["bought"][0] > row["budget"] / 2, "one image per cluster, and hardly any cluster shares its nearest image"


@pytest.mark.endurance
def test_the_strategy_of_the_first_hour_spends_its_budget(run, tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mine.py").write_text(block)
    status, out = run(tmp_path / "mine.py", "first-hour")
    assert status == 0
    summary = json.loads(only(out, "*-mine/result.json").read_text())
    assert [row["bought"] for row in summary["pairs"]] == [[row["budget"]] for row in summary["pairs"]]


# -- docs/results-format.md


OPAQUE = {"spec.profile", "spec.pipeline", "training.timings", "versions"}


def test_the_documented_keys_of_a_cell_are_those_of_its_file(results, tiny):
    files = sorted((results / "cells").glob("*.json"))
    assert len(files) == len(tiny.pairs)
    for file in files:
        content = json.loads(file.read_text())
        earlier = {f"attempts[].{name}" for name in ("verdict", "scored", "count")}  # these cells had no result before
        own = {"spec.data_set"}  # absent on the profile's own data set
        assert content["attempts"] == []
        assert paths(content, "", OPAQUE, list(tiny.round.classes)) - {"attempts"} | earlier == documented("A cell") - own
        assert file.stem == content["cell"]
        assert (results / "cells" / content["predictions"]["file"]).exists()


def test_the_documented_keys_of_a_run_are_those_of_its_file(results, tiny):
    content = json.loads(only(results, "*-example/result.json").read_text())
    found = paths(content, "", {"pipeline", "versions[]"}, list(tiny.round.classes))
    assert content["panel"] is None
    found = {re.sub(r"^(cells|pairs)\[\]\..*", r"\1[].*", path) for path in found}
    assert found - {"panel", "faults"} | {"panel[].*", "faults[].*"} == documented("A run", "\n### ")
    cells = {json.loads(file.read_text())["cell"]: json.loads(file.read_text()) for file in (results / "cells").glob("*.json")}
    for cell in content["cells"]:
        whole = cells[cell["cell"]]
        assert set(cell) == set(whole) - {"spec", "ledger", "checksum"} | {
            "pair",
            "seed",
            "pipeline",
            "collapsed",
            "cached",
            "reused",
        }
    text = (ROOT / "docs" / "results-format.md").read_text()
    for row in content["pairs"]:
        assert [name for name in row if f"`{name}`" not in text] == []


@pytest.mark.endurance
def test_the_documented_keys_of_a_panel_are_those_of_its_file(panel, tiny):
    content = json.loads(only(panel, "*-example/result.json").read_text())
    assert content["pipeline"] is None
    assert {row["name"] for row in content["panel"]} == {"first", "second"}
    for row in content["panel"]:
        found = {re.sub(r"^pairs\[\]\..*", "pairs[].*", path) for path in paths(row, "", {"pipeline"}, list(tiny.round.classes))}
        assert found == documented("# A panel", "\n## ")


def test_the_documented_keys_of_an_answer_are_those_of_its_file(results, tiny):
    files = sorted((results / "answers").glob("*.json"))
    assert len(files) == len(tiny.pairs)
    for file in files:
        content = json.loads(file.read_text())
        failed = {"full_trace"}  # absent where nothing failed
        assert paths(content, "", {"spec", "versions"}, list(tiny.round.classes)) == documented("An answer") - failed
        assert file.stem == content["answer"]


def test_every_key_has_a_description():
    text = (ROOT / "docs" / "results-format.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (`[^`]+`) \| *\|$", text, re.MULTILINE) == []


def test_every_word_of_the_glossary_in_italics_has_an_entry():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("\n## ", 1)[1]
    entries = {word.lower() for word in re.findall(r"\*\*([^*]+)\*\*", text)}
    italics = {word.lower() for word in re.findall(r"(?<!\*)\*([^*|\n]+)\*(?!\*)", text)}
    assert len(italics) > 20
    assert {word for word in italics if word not in entries and word.removesuffix("s") not in entries} == set()


def test_the_page_and_the_schema_files_are_what_the_types_of_the_records_say():
    stale = [str(path) for path, text in make_format.wanted().items() if not path.exists() or path.read_text() != text]
    assert stale == [], f"write them anew: {make_format.COMMAND}"


def test_stored_files_follow_their_schema(results, panel):
    for name, pattern in (("cell", "cells/*.json"), ("answer", "answers/*.json"), ("run", "*-example/result.json")):
        schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text())
        validator = Draft202012Validator(schema)
        files = [*results.glob(pattern), *panel.glob(pattern)]
        assert files
        for file in files:
            content = json.loads(file.read_text())
            assert [f"{file.name}: {error.message}" for error in validator.iter_errors(content)] == []
            assert set(content) <= set(schema["properties"])


def test_the_documented_columns_of_the_purchases_are_those_of_the_file(results, tiny):
    with open(only(results, "*-example/purchases.csv"), newline="") as file:
        header, *rows = csv.reader(file)
    k = len(tiny.round.classes)
    assert tuple(header[-k:]) == tiny.round.classes
    assert set(header[:-k]) == documented("`purchases.csv`")
    ledgers = [json.loads(file.read_text())["ledger"] for file in (results / "cells").glob("*.json")]
    assert len(rows) == sum(map(len, ledgers)) > 0


def test_the_documented_files_are_those_of_a_run(results):
    folder = only(results, "*-example")
    assert {path.name for path in folder.iterdir()} == {"result.json", "purchases.csv", "report.html", "logs"}
    assert {path.name for path in (folder / "logs").iterdir()} == {"621x17-seed0.log", "1321x34-seed0.log"}


def test_the_picture_of_a_run_shows_its_figures_and_loads_nothing(results):
    summary = json.loads(only(results, "*-example/result.json").read_text())
    svg = picture(summary, "title")
    assert f"{summary['score']['macro_f1']['mean']:.3f}" in svg
    assert set(re.findall(r"https?://[^\"'\s)]+", svg)) == {"http://www.w3.org/2000/svg"}
    assert svg == picture(summary, "title") == picture(make_picture.kept(summary), "title")


def test_the_committed_picture_is_as_tables_look_now_and_names_no_place():
    """If it fails: ``make picture ARGS=--again``, or without ARGS after a new run."""
    summary, title = make_picture.stored(make_picture.IMAGE)
    assert make_picture.IMAGE.read_text(encoding="utf-8") == picture(summary, title)
    assert "--public-seeds" in title, "readers get these figures"
    assert summary["profile"] == "quick"
    assert "folder" not in summary["submission"]
    assert str(ROOT) not in json.dumps(summary)


# -- documents


def test_the_documented_keywords_are_those_that_phases_are_given():
    text = (ROOT / "docs" / "write-a-strategy.md").read_text(encoding="utf-8")
    section = text.split("\n## What a phase is given", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.MULTILINE)
    assert {name: (name, *re.findall(r"`(\w+)`", aliases)) for name, aliases in rows} == ALIASES


def test_the_documented_verdicts_are_the_closed_set():
    text = (ROOT / "docs" / "participants.md").read_text(encoding="utf-8")
    section = text.split("\n## Verdicts", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `([A-Z_]+)`", section, re.MULTILINE)) == set(Verdict)


def test_the_documented_limits_are_those_of_the_sandbox():
    text = (ROOT / "docs" / "participants.md").read_text(encoding="utf-8")
    limits = Limits()
    for words in (
        f"{limits.memory // GIB} GiB of memory",
        f"be {limits.processes:,}, threads included",
        f"up to {limits.disk // GIB} GiB and {limits.files:,} files",
        f"the round's node ({NODE['cpus']})",
    ):
        assert words in text


PAGES_OF_OPTIONS = [f"docs/{name}.md" for name in ("participants", "write-a-strategy", "time-and-budget", "organisers")]


@pytest.mark.parametrize("page", PAGES_OF_OPTIONS)
def test_the_documented_options_exist(page):
    options = set(local_evaluation.build_parser()._option_string_actions)
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        for command in re.findall(r"local_evaluation\.py((?: [^`#\n]+)?)", line):
            assert set(re.findall(r"--[a-z-]+", command)) <= options, line


def test_the_table_of_profiles_in_the_readme_is_that_of_the_kit():
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", README, re.MULTILINE))
    assert set(rows) >= set(PROFILES)
    for name, profile in PROFILES.items():
        cells = [cell.strip() for cell in rows[name].split("|")]
        sizes = [
            f"{profile.drawn[split]:,} of {profile.sizes[split]:,}" if split in profile.drawn else f"{profile.sizes[split]:,}"
            for split in ("training", "unlabelled", "validation")
        ]
        assert cells[0] == f"{profile.image_size} px"
        assert cells[1] == " / ".join(sizes)
        pair = profile.pairs[0]
        assert cells[2] == f"{profile.budget(pair):,} labels, {profile.seconds(pair):,g} s"


# -- set-up


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by name alone, and a process that meets both collects neither of them."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name, n in names.items() if n > 1} == set()


@pytest.mark.parametrize(
    ("ranges", "lock"), [("requirements.txt", "requirements.lock"), ("requirements-dev.txt", "requirements-dev.lock")]
)
def test_the_lock_pins_every_requirement_inside_its_range(ranges, lock):
    pins: dict[str, list[str]] = {}
    for pin in requirements(lock):
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        pins.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    for wanted in requirements(ranges):
        found = pins.get(canonicalize_name(wanted.name), [])
        assert found, f"{lock} lacks {wanted.name}; run make lock"
        assert all(wanted.specifier.contains(version) for version in found), f"{lock} has {wanted.name} {found}; run make lock"


def test_both_locks_agree():
    kit = {str(pin) for pin in requirements("requirements.lock")}
    assert kit <= {str(pin) for pin in requirements("requirements-dev.lock")}


def test_what_the_code_imports_is_required_and_nothing_else():
    files = [
        *(ROOT / "evaluator").rglob("*.py"),
        *(ROOT / "my_submission").rglob("*.py"),
        ROOT / "run.py",
        ROOT / "local_evaluation.py",
    ]
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            # A script that is run by its path imports its neighbours by their bare names.
            imported |= {top for name in names if not (file.parent / f"{(top := name.partition('.')[0])}.py").exists()}
    own = {"evaluator", "_dck_worker", "run", "my_submission", "local_evaluation"}
    foreign = {TOP.get(name, name) for name in imported - own - WHERE_THERE - set(sys.stdlib_module_names)}
    assert foreign | FOR_SUBMISSIONS == {requirement.name for requirement in requirements("requirements.txt")}


def make(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make as in a shell of its own: nothing of a make that runs these tests, nor of its variables, is handed on."""
    taken = re.findall(r"^([A-Z]+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", *taken))}
    return subprocess.run(["make", "-C", str(folder), *words], capture_output=True, text=True, env=clean, timeout=60)


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
def test_installing_says_first_what_it_downloads_and_is_quiet(tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "ASKED $*"\n')
    python.chmod(0o755)
    for torch, said in (("default", "about 2.6 GB to download, nearly all of it CUDA"), ("cpu", "torch without CUDA")):
        for left in tmp_path.glob(".installed*"):
            left.unlink()
        (tmp_path / "torch-build").unlink(missing_ok=True)
        done = make("--no-print-directory", "evaluate", f"VENV={tmp_path}", f"TORCH={torch}")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert said in lines[0]
        assert torch == "cpu" or "TORCH=cpu" in lines[1]
        asked = [line for line in lines if line.startswith("ASKED -m pip")]
        assert len(asked) == (2 if torch == "cpu" else 1)
        assert all("--quiet" in line for line in asked)
        assert lines[-1] == "ASKED local_evaluation.py"


@needs_make
def test_a_python_that_is_too_old_is_refused_with_a_way_out(tmp_path):
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("environment", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    assert done.returncode != 0
    assert "no Python of 3.11 or newer" in done.stdout
    assert str(old) in done.stdout
    assert not (tmp_path / "venv").exists()


@pytest.fixture
def venv(tmp_path) -> Path:
    """An environment that looks installed: later than every list of requirements."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("bin/python", ".installed-yes", ".installed-yes-dev"):
        (venv / name).touch()
    (venv / "torch-build").write_text("default\n")
    (venv / "lock").write_text("yes\n")
    return venv


@needs_make
@pytest.mark.parametrize("target", ["evaluate", "test", "debug"])
def test_a_second_call_installs_nothing(venv, target):
    done = make("-n", target, f"VENV={venv}")
    assert done.returncode == 0, done.stderr
    assert "pip install" not in done.stdout
    assert str(venv / "bin" / "python") in done.stdout


@needs_make
def test_a_changed_lock_is_installed(venv):
    os.utime(venv / ".installed-yes", (0, 0))
    assert (
        "pip install --disable-pip-version-check --quiet --progress-bar off -r requirements.lock"
        in make("-n", "evaluate", f"VENV={venv}").stdout
    )


@needs_make
def test_the_cpu_build_comes_from_its_own_index_and_brings_no_cuda(tmp_path):
    done = make("-n", "evaluate", "TORCH=cpu", f"VENV={tmp_path / 'venv'}")
    installs = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert "--no-deps --index-url https://download.pytorch.org/whl/cpu" in installs[0]
    # The two commands of the recipe that choose lines, run on the lock as it is.
    torch = subprocess.run(
        re.search(r"\$\((grep .*?)\); status", installs[0])[1], shell=True, capture_output=True, text=True, cwd=ROOT
    )
    assert {line.split("==")[0] for line in torch.stdout.split()} == {"torch", "torchvision"}
    rest = re.search(r"^(grep .*?) >", done.stdout, re.MULTILINE)[1]
    kept = subprocess.run(rest, shell=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert "numpy==" in kept
    assert not re.search(r"^(nvidia|cuda|triton)", kept, re.MULTILINE)


@needs_make
def test_another_build_of_torch_than_the_one_there_is_refused(venv):
    done = make("evaluate", "TORCH=cpu", f"VENV={venv}")
    assert done.returncode != 0
    assert "holds the default build of torch, not cpu; run make clean first" in done.stdout
    unknown = make("evaluate", "TORCH=gpu", f"VENV={venv}")
    assert unknown.returncode != 0
    assert "TORCH=gpu; write TORCH=cpu" in unknown.stdout


def test_what_the_image_copies_is_there():
    text = (ROOT / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert "requirements.lock" in sources
    for source in sources:
        assert (ROOT / source).exists(), f"Dockerfile copies {source}"
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_apt_txt_is_read_without_its_comments(tmp_path):
    command = re.search(r"packages=\$\((.*?)\) \\", (ROOT / "Dockerfile").read_text())[1]
    (tmp_path / "apt.txt").write_text("# a comment\n\nlibgl1  # to draw\n  # another\nffmpeg\n")
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["libgl1", "ffmpeg"]
    (tmp_path / "apt.txt").write_text("# nothing\n")
    empty = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert (empty.returncode, empty.stdout.strip()) == (0, "")


def test_the_integration_script_runs_linters_all_tests_and_a_debug_evaluation():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert text.index("make lint") < text.index("make docs") < text.index("make test-all") < text.index("make debug")
    assert "--cov" in re.search(r"make test-all ARGS=\"(.*)\"", text)[1].split()


@needs_make
def test_make_test_is_the_product_and_make_test_all_is_everything(venv):
    product = make("-n", "test", f"VENV={venv}").stdout
    assert re.findall(r"--ignore=(\S+)", product) == ["tests/benchmarks", "tests/experiments"]
    assert all((ROOT / folder).is_dir() for folder in re.findall(r"--ignore=(\S+)", product))
    everything = make("-n", "test-all", f"VENV={venv}").stdout
    assert "--ignore" not in everything
    assert "-m experiments --check" in everything
    assert "-m experiments --check" not in product


@needs_make
def test_make_docs_builds_the_site_in_an_environment_of_its_own(venv):
    commands = make("-n", "docs-serve", f"VENV={venv}", f"DOCS={venv}-docs").stdout
    assert "-m pip install" in commands
    assert "-r requirements-docs.txt" in commands
    assert commands.index("-m docs.make_site") < commands.index("-m http.server --bind 127.0.0.1 --directory build/site/html")


@needs_make
def test_make_lint_checks_rules_format_and_types(venv):
    commands = make("-n", "lint", f"VENV={venv}").stdout
    assert all(f"-m {command}" in commands for command in ("ruff check .", "ruff format --check .", "mypy"))


def test_the_longest_tests_are_read_from_the_times_of_a_run(tmp_path):
    rows = [("a", "first", 0.5), ("b", "second[x-1]", 12.25), ("b", "third", 0.5)]
    cases = "".join(f'<testcase classname="tests.{file}" name="{name}" time="{time}"/>' for file, name, time in rows)
    (tmp_path / "tests.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    head, _, *lines = durations.table(tmp_path / "tests.xml", longest=2).splitlines()
    assert head == "# The 2 longest of 3 tests, in seconds. All together: 13 s."
    assert lines == ["   12.25  tests.b::second[x-1]", "    0.50  tests.a::first"]
    page = tmp_path / "durations.txt"
    assert durations.of_files(page) == {}, "no page yet"
    page.write_text(durations.table(tmp_path / "tests.xml"))
    assert durations.of_files(page) == {"tests/b.py": 12.75, "tests/a.py": 0.5}


def test_the_files_with_the_longest_tests_begin(request):
    listed = list(dict.fromkeys(item.path for item in request.session.items))
    seconds = durations.of_files()
    assert any((ROOT / file).is_file() for file in seconds)
    known = [seconds.get(path.relative_to(ROOT).as_posix(), 0.0) for path in listed]
    assert known == sorted(known, reverse=True)


# -- the front door


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMMUNITY = (
    "LICENSE",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "CITATION.cff",
    ".pre-commit-config.yaml",
    ".github/PULL_REQUEST_TEMPLATE.md",
)


@pytest.mark.parametrize("name", COMMUNITY)
def test_what_people_who_carry_on_look_for_is_there(name):
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_the_licence_is_the_same_wherever_it_is_named():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    project = PROJECT["project"]
    assert text.startswith("MIT License\n")
    assert f"Copyright (c) 2026 {project['authors'][0]['name']}\n" in text
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE"])
    assert re.search(r"^license: MIT$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_version_is_the_same_wherever_it_is_named():
    # The image's label is held to it by tests/sandbox/test_docker.py.
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1] == __version__
    entries = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert __version__ in entries
    assert entries[-1] == "0.1.0"
    numbers = [tuple(map(int, entry.split("."))) for entry in entries if entry != "Unreleased"]
    assert numbers == sorted(numbers, reverse=True), "the newest version stands at the top"
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "evaluator.__version__"}


def test_the_command_dck_is_the_command_line_of_the_kit(monkeypatch, capsys):
    command = EntryPoint("dck", PROJECT["project"]["scripts"]["dck"], "console_scripts")
    main = command.load()
    assert command.module == "evaluator.__main__"
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["dck", "compare", "/nowhere"])
    assert isinstance(main(), int), "what a console script hands to sys.exit"
    assert capsys.readouterr().err.startswith("error: the results folder /nowhere")


def test_the_types_of_an_installed_kit_are_used():
    assert (ROOT / "evaluator" / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["evaluator"]


def test_the_one_large_file_that_may_be_committed_is_there():
    # pre-commit refuses files above 1 MB; a second version of the weights must not enter by a wider exception.
    config = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    section = config.split("id: check-added-large-files", 1)[1].split("- id:", 1)[0]
    (allowed,) = re.findall(r"exclude: \^(.*)\$$", section, re.MULTILINE)
    assert (ROOT / allowed.replace("\\", "")).is_file()
    assert "|" not in allowed
    assert "*" not in allowed


def spoken() -> str:
    """Every text of the kit's code, with ``...`` where a value is put in, and the Makefile."""
    texts = [(ROOT / "Makefile").read_text(encoding="utf-8")]
    for file in [*(ROOT / "evaluator").rglob("*.py"), ROOT / "local_evaluation.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.ClassDef):
                texts.append(node.name)
    return "\n".join(texts)


def test_the_messages_that_are_explained_are_those_of_the_kit():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    said = spoken()
    messages = [
        message for heading in re.findall(r"^### (.*)$", page, re.MULTILINE) for message in re.findall(r"`([^`]+)`", heading)
    ]
    assert len(messages) > 40
    unknown = [
        message
        for message in messages
        if not re.search("[^\n]*".join(re.escape(part.strip(" ")) for part in message.split("...")), said)
    ]
    assert unknown == [], "docs/troubleshooting.md explains messages under words that the kit does not use"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/first-hour.md", "docs/troubleshooting.md", "README.md"])
def test_the_make_commands_of_the_pages_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets


def test_the_map_of_the_house_names_rooms_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## Where things go", 1)[1].split("\n## ", 1)[0]
    rooms = set(re.findall(r"`(evaluator/[a-z]+)/`", text))
    assert all((ROOT / room).is_dir() for room in rooms), rooms
    there = {f"evaluator/{path.name}" for path in (ROOT / "evaluator").iterdir() if (path / "__init__.py").is_file()}
    assert there - {"evaluator/cleaning", "evaluator/curation", "evaluator/audit"} <= rooms
