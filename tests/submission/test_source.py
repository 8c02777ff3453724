"""Reading a submission: what travels, what its digest covers, and that no folder of a stranger hangs or ends the evaluator."""

import ast
import os
import shutil
import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.errors import SubmissionError, Verdict
from evaluator.submission import source, tree
from evaluator.submission.source import looked_at, opened, read_source
from evaluator.submission.travel import showable, stays


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.py").write_text("x = 1\n")
    return folder


def travels(path):
    with opened(path) as submission:
        return [item.name for item in submission.items]


def refused(path, *words, verdict=Verdict.RUNTIME_ERROR):
    """The message with which a submission is refused, soon; it holds all ``words``."""
    began = time.process_time()
    with pytest.raises(SubmissionError) as caught:
        read_source(path)
    assert time.process_time() - began < 3  # a hang would be minutes; one second is usual for the worst
    for word in words:
        assert word in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.verdict is verdict
    return str(caught.value)


# -- identity


def test_a_changed_submission_is_another_one(mine, tmp_path):
    (mine / "parts").mkdir()
    seen = [read_source(mine).digest]

    def changed():
        digest = read_source(mine).digest
        assert digest == read_source(mine).digest
        new = digest not in seen
        seen.append(digest)
        return new

    (mine / "run.py").write_text("x = 2\n")
    assert changed()
    (mine / "parts" / "model.bin").write_bytes(b"\x00")
    assert changed()
    (mine / "parts" / "model.bin").rename(mine / "parts" / "other.bin")
    assert changed()
    (mine / "parts" / "other.bin").unlink()
    (mine / "__pycache__").mkdir()
    (mine / "__pycache__" / "run.pyc").write_bytes(b"1")
    (mine / "old.pyc").write_bytes(b"1")
    assert not changed()
    assert read_source(mine).name == "mine"
    moved = mine.rename(tmp_path / "yours")
    assert read_source(moved).digest == seen[-1]


def test_what_does_not_decide_the_run_does_not_change_the_digest(mine):
    before = read_source(mine).digest
    left = (
        ".run.py.swp",
        "run.py~",
        "#run.py#",
        ".#run.py",
        "._run.py",
        ".DS_Store",
        "aicrowd.json",
        "README.md",
        "LICENSE",
        "x.pyc",
        *(".swp", "run.py.swp", "run.py.orig", "run.py.rej", "run.py.bak", ".coverage", "Icon\r"),
        *("Notes.txt", "todo.md", "IDEAS", "history.rst"),
    )
    for name in left:
        (mine / name).write_text("anything")
    for name in (".git", ".venv", "environment", ".ipynb_checkpoints"):
        (mine / name).mkdir()
        (mine / name / "inside.py").write_text("x")
    (mine / "environment" / "pyvenv.cfg").write_text("")
    assert travels(mine) == ["run.py"]
    assert read_source(mine).digest == before


def test_a_manifest_or_a_readme_further_down_is_data_like_any_other(mine):
    (mine / "parts").mkdir()
    (mine / "parts" / "aicrowd.json").write_text("{}")
    (mine / "parts" / "README.md").write_text("prompt")
    (mine / "readme.py").write_text("")
    assert travels(mine) == ["parts/README.md", "parts/aicrowd.json", "readme.py", "run.py"]


@pytest.mark.parametrize("name", ["words.txt", "prompt.md", "requirements.txt", "notes.json", "readme.csv", "data.swc", "todo.py"])
def test_a_text_that_code_may_read_travels_and_counts(mine, name):
    before = read_source(mine).digest
    (mine / name).write_text("a")
    assert travels(mine) == sorted([name, "run.py"])
    assert read_source(mine).digest != before


@pytest.mark.parametrize("name", ["absent", "notes.txt", "empty"])
def test_a_submission_that_is_none_is_refused_by_name(tmp_path, name):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / name, name, "run.py")


def test_names_of_folders_that_are_no_names(mine, monkeypatch):
    monkeypatch.chdir(mine)
    assert read_source(source.Path()).name == "mine"
    (mine / "parts").mkdir()
    assert read_source(mine / "parts" / "..").name == "mine"


# -- a submission of one file


def test_one_file_takes_its_own_package_called_evaluator_along_but_not_the_kits(tmp_path):
    (tmp_path / "evaluator" / "worker").mkdir(parents=True)
    (tmp_path / "evaluator" / "trainer.py").write_text("")
    (tmp_path / "run.py").write_text("from evaluator.trainer import x\n")
    assert travels(tmp_path / "run.py") == ["evaluator/trainer.py", "run.py"]
    (tmp_path / "evaluator" / "worker" / "standins.py").write_text("")
    assert travels(tmp_path / "run.py") == ["run.py"]


def test_one_file_takes_what_it_imports_from_beside_it_and_nothing_else(tmp_path):
    (tmp_path / "a.py").write_text("from features import x\nimport numpy, package.inner as p\nif x: import later\nimport images\n")
    (tmp_path / "features.py").write_text("import deeper\nx = 1\n")
    (tmp_path / "deeper.py").write_text("import features\n")
    (tmp_path / "later.py").write_text("")
    for folder in ("package", "package/inner", "images", "unused"):
        (tmp_path / folder).mkdir()
    (tmp_path / "package" / "inner" / "code.py").write_text("import from_package\n")
    (tmp_path / "from_package.py").write_text("")
    (tmp_path / "package" / "weights.bin").write_bytes(b"1")
    (tmp_path / "images" / "a.png").write_bytes(b"no source lies here, so it is no package")
    (tmp_path / "unused" / "x.py").write_text("")
    for name in ("b.py", "share.txt", "run.py", "__init__.py"):
        (tmp_path / name).write_text("another file")
    expected = ["a.py", "deeper.py", "features.py", "from_package.py", "later.py", "package/inner/code.py", "package/weights.bin"]
    assert travels(tmp_path / "a.py") == expected
    before = read_source(tmp_path / "a.py").digest
    (tmp_path / "b.py").write_text("another submission, changed\n")
    (tmp_path / "share.txt").write_text("9")
    assert read_source(tmp_path / "a.py").digest == before
    (tmp_path / "from_package.py").write_text("y = 2\n")
    after = read_source(tmp_path / "a.py").digest
    assert after != before
    (tmp_path / "package" / "weights.bin").write_bytes(b"2")
    assert read_source(tmp_path / "a.py").digest not in (before, after)


def test_a_file_that_is_a_link_may_lead_to_a_file_beside_it_only(tmp_path):
    (tmp_path / "secret.py").write_text("labels")
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "v2.py").write_text("x = 1")
    (folder / "mine.py").symlink_to("v2.py")
    assert read_source(folder / "mine.py").name == "mine"
    (folder / "theirs.py").symlink_to("../secret.py")
    refused(folder / "theirs.py", "theirs.py", "leads out of the submission")
    (folder / "other.py").write_text("import theirs")
    refused(folder / "other.py", "theirs.py", "leads out of the submission")


def test_the_folder_that_is_named_may_be_a_link(mine, tmp_path):
    (tmp_path / "latest").symlink_to(mine)
    assert read_source(tmp_path / "latest").digest == read_source(mine).digest
    assert read_source(tmp_path / "latest").name == "latest"


def test_too_many_sources_beside_one_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MAX_SEARCHED", 100)
    (tmp_path / "a.py").write_text("import b\n")
    assert read_source(tmp_path / "a.py")
    (tmp_path / "b.py").write_text("#" * 100)
    refused(tmp_path / "a.py", "b.py", "more than 100 bytes", "folder instead")


# -- links


def test_links_within_a_submission_count_as_what_they_point_to(mine, tmp_path):
    (mine / "shared").mkdir()
    (mine / "shared" / "tools.py").write_text("x = 1\n")
    (mine / "parts").symlink_to("shared")
    (mine / "again").symlink_to("parts")
    (mine / "inner").mkdir()
    (mine / "inner" / "up.py").symlink_to("../again/../shared/./tools.py")
    (mine / "absolute.py").symlink_to(mine / "parts" / "tools.py")
    names = ["absolute.py", "again/tools.py", "inner/up.py", "parts/tools.py", "run.py", "shared/tools.py"]
    assert travels(mine) == names
    before = read_source(mine).digest
    unfolded = tmp_path / "unfolded"
    shutil.copytree(mine, unfolded, symlinks=False)
    assert read_source(unfolded).digest == before
    (mine / "shared" / "tools.py").write_text("x = 2\n")
    assert read_source(mine).digest != before


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/proc", "leads out"),
        ("/etc/passwd", "leads out"),
        ("..", "leads out"),
        ("../outside.txt", "leads out"),
        ("parts/../../outside.txt", "leads out"),
        ("nowhere", "leads to nothing"),
        ("run.py/x", "leads to nothing"),
        (".", "circle"),
        ("parts/..", "circle"),
        ("link", "circle"),
        ("other", "circle"),
    ],
)
def test_other_links_are_refused_by_name(mine, tmp_path, target, said):
    (tmp_path / "outside.txt").write_text("labels")
    (mine / "parts").mkdir()
    (mine / "other").symlink_to("link")
    (mine / "link").symlink_to(target)
    assert "/mine/link:" in refused(mine, said) or target in ("link", "other")


def test_a_link_below_leads_to_a_folder_above(mine):
    (mine / "a" / "b").mkdir(parents=True)
    (mine / "a" / "b" / "c").symlink_to("../../a")
    refused(mine, "a/b/c", "circle")


def test_a_link_that_is_swapped_in_while_we_read_is_not_followed(mine, tmp_path):
    (tmp_path / "secret").write_text("xxxxx\n")
    with opened(mine) as submission:
        (mine / "run.py").unlink()
        (mine / "run.py").symlink_to(tmp_path / "secret")
        with pytest.raises(SubmissionError, match=r"run\.py: it cannot be read") as caught:
            submission.digest()
    assert caught.value.verdict is Verdict.INFRASTRUCTURE


def test_a_folder_that_becomes_a_link_while_we_read_is_not_followed(mine, tmp_path):
    (mine / "z").mkdir()
    (mine / "z" / "data").write_text("12345")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "data").write_text("54321")
    with opened(mine) as submission:
        shutil.rmtree(mine / "z")
        (mine / "z").symlink_to(tmp_path / "secrets")
        with pytest.raises(SubmissionError, match="cannot be read"):
            submission.digest()


# -- hostile folders: each is refused, or read, soon


def test_links_that_unfold_to_a_billion_folders(mine):
    for i in range(30):
        (mine / f"d{i}").mkdir()
        for name in "ab":
            (mine / f"d{i}" / name).symlink_to(f"../d{i + 1}")
    for name in "ab":
        (mine / "d29" / name).unlink()
    refused(mine, "folders", "remove some")


def test_links_of_a_thousand_steps(mine):
    (mine / "q").mkdir()
    for i in range(200):
        (mine / f"l{i:03}").symlink_to("q/../" * 800 + "run.py")
    refused(mine, "20,000", "steps along links")


def test_a_file_of_60_gigabytes_that_takes_no_room(mine):
    with open(mine / "weights.bin", "wb") as file:
        file.truncate(60 << 30)
    refused(mine, "weights.bin", "64,424,509,440 bytes", "1,073,741,824")


@pytest.mark.parametrize("sign", ["-", "(", "[", "not ", "{0:", "lambda:", "import a;", "from a import (\n", "\\\n", "if 1: "])
@pytest.mark.parametrize("one_file", [True, False])
def test_a_module_of_200_000_signs(mine, sign, one_file):
    (mine / "run.py").write_text(sign * 200_000 + "1\n")
    assert read_source(mine / "run.py" if one_file else mine).digest


def test_a_source_has_a_limit_of_its_own(mine):
    (mine / "run.py").write_bytes(b"#" * (tree.MAX_SOURCE_BYTES + 1))
    refused(mine, "run.py", "4,194,305 bytes", "4,194,304")
    refused(mine / "run.py", "run.py", "4,194,305 bytes")


def test_a_pipe_as_entry_is_refused_in_words(mine):
    (mine / "run.py").unlink()
    os.mkfifo(mine / "run.py")
    refused(mine, "run.py is a named pipe")
    refused(mine / "run.py", "run.py", "a named pipe")


def test_pipes_sockets_and_devices_stay_behind(mine):
    os.mkfifo(mine / "data.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(mine)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        (mine / "link").symlink_to("data.txt")
        assert travels(mine) == ["run.py"]


def test_a_deep_folder(mine):
    folder = mine
    for _ in range(40):
        folder = folder / "d"
        folder.mkdir()
    refused(mine, "33 folders deep", "at most 32")


def test_a_path_is_measured_in_bytes_not_in_characters(mine):
    folder = mine
    for _ in range(6):
        folder = folder / ("€" * 80)
        folder.mkdir()
    assert len(str(folder.relative_to(mine))) < tree.MAX_PATH_BYTES
    refused(mine, "bytes; at most 1,000")


@pytest.mark.parametrize("name", [b"\xff\xfe.txt", b"a\nb.txt", b"\x1b]0;title\x07", b"tab\t", "line\u2028end".encode()])
def test_a_name_that_cannot_be_shown(mine, name):
    with open(os.fsencode(mine) + b"/" + name, "w"):
        pass
    refused(mine, "its name holds")


def test_too_many_files_folders_and_names(mine, monkeypatch):
    for i in range(20):
        (mine / f"{i}.txt").write_text("")
    monkeypatch.setattr(tree, "MAX_FILES", 15)
    refused(mine, "more than 15 files")
    monkeypatch.setattr(tree, "MAX_LOOKS", 10)
    refused(mine, "10 files, folders and steps")
    monkeypatch.undo()
    monkeypatch.setattr(tree, "MAX_FOLDERS", 3)
    (mine / "a" / "b" / "c").mkdir(parents=True)
    refused(mine, "a/b/c", "more than 3 folders")


def test_what_stays_behind_is_looked_at_only_so_often(mine, monkeypatch):
    monkeypatch.setattr(tree, "MAX_LOOKS", 50)
    for i in range(100):
        (mine / f"{i}.pyc").write_text("")
    refused(mine, "50 files, folders")


def test_a_file_that_grows_while_it_is_read(mine):
    with opened(mine) as submission:
        (mine / "run.py").write_text("x = 1\n" * 2)
        with pytest.raises(SubmissionError, match="changed while it was read") as caught:
            submission.digest()
    assert caught.value.verdict is Verdict.INFRASTRUCTURE


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_this_user_may_not_read_is_not_the_submissions_fault(mine):
    (mine / "run.py").chmod(0)
    refused(mine, "run.py", "must be able to read it", verdict=Verdict.INFRASTRUCTURE)


@pytest.mark.parametrize("path", ["/proc", "/dev", "/sys", "/", "/proc/self/environ", "/dev/zero", "/dev/null"])
def test_places_of_the_system_are_refused(path):
    with pytest.raises(SubmissionError):
        read_source(source.Path(path))


def test_a_fault_is_a_source_too(mine, tmp_path):
    (mine / "p").symlink_to("/proc")
    found = looked_at(mine)
    assert found.name == "mine"
    assert found.verdict is Verdict.RUNTIME_ERROR
    assert "leads out" in found.fault
    assert found.digest == looked_at(mine).digest
    assert found.digest != looked_at(tmp_path / "other").digest
    assert looked_at(source.Path(os.fsdecode(b"/\xff"))).name.isprintable()


def test_no_descriptor_stays_open(mine):
    (mine / "a").mkdir()
    (mine / "a" / "l").symlink_to("../run.py")
    read_source(mine)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        read_source(mine)
        read_source(mine / "run.py")
    (mine / "a" / "out").symlink_to("/etc")
    for _ in range(3):
        looked_at(mine)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_evaluator_parses_no_source():
    """``ast.parse`` and ``compile`` are brought down by what a stranger may write."""
    for module in (source, tree):
        names = {node.id for node in ast.walk(ast.parse(source.Path(module.__file__).read_text())) if isinstance(node, ast.Name)}
        assert names.isdisjoint({"ast", "compile", "tokenize"})


# -- properties

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda n: n not in (".", "..")
)
FREE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FREE
@given(st.binary(min_size=1, max_size=12).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..")))
def test_any_name_travels_stays_or_is_refused(tmp_path, name):
    folder = tmp_path / "any"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "run.py").write_text("")
    path = os.fsencode(folder) + b"/" + name
    with open(path, "w"):
        pass
    text = os.fsdecode(name)
    if stays(text, top=True):
        assert travels(folder) == ["run.py"]
    elif showable(text):
        assert travels(folder) == sorted({"run.py", text})
    else:
        refused(folder, "its name holds")


TREES = st.recursive(
    st.one_of(st.binary(max_size=20), st.sampled_from(["link:../x", "link:.", "link:a", "link:b/a", "link:/", "pipe"])),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c.py", "x"]), inner, max_size=4),
    max_leaves=20,
)


def build(path, what):
    if isinstance(what, bytes):
        path.write_bytes(what)
    elif what == "pipe":
        os.mkfifo(path)
    elif isinstance(what, str):
        path.symlink_to(what.removeprefix("link:"))
    else:
        path.mkdir()
        for name, inner in what.items():
            build(path / name, inner)


@FREE
@given(TREES)
def test_any_tree_is_read_as_it_would_be_seen_or_refused(tmp_path, what):
    """What travels is what somebody who follows the links sees, byte for byte."""
    folder = tmp_path / "tree"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "run.py").write_text("")
    build(folder / "inner", what)
    said, seen = "", {}
    try:
        with opened(folder) as submission:
            seen = {item.name: submission.tree.content(item) for item in submission.items}
    except SubmissionError as error:
        said = str(error)
    if said:
        assert "link leads" in said or "link goes in a circle" in said
        return
    for name, content in seen.items():
        assert (folder / name).resolve().is_relative_to(folder.resolve())
        assert (folder / name).read_bytes() == content
    found = {os.path.join(place, file) for place, _, files in os.walk(folder, followlinks=True) for file in files}
    assert {str(folder / name) for name in seen} == {path for path in found if os.path.isfile(path)}
