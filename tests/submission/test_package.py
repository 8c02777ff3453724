"""An archive holds what travels and nothing else, is the same to the byte, and is believed in nothing by whoever receives it."""

import hashlib
import json
import os
import stat
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.errors import SubmissionError
from evaluator.seeds import generator
from evaluator.submission import package
from evaluator.submission.package import (
    FILE,
    PackageError,
    file_digest,
    preview,
    read_package,
    unpack,
    unpacked,
    write_package,
)
from evaluator.submission.source import looked_at, read_source

RUN = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""


@pytest.fixture
def mine(tmp_path):
    """A submission with code, data, secrets, notes and caches."""
    folder = tmp_path / "here" / "mine"
    (folder / "words").mkdir(parents=True)
    for name, content in {
        "run.py": RUN,
        "words/list.txt": "a\nb\n",
        "requirements.txt": "numpy\n",
        "aicrowd.json": json.dumps({"team": "Foxes", "challenge_id": "labels"}),
        ".env": "TOKEN=1",
        "words/id_rsa": "key",
        "server.PEM": "key",
        "NOTES.md": "notes",
        "run.py.bak": "old",
        "draft.ipynb": "{}",
        "scratch/a.txt": "x",
        ".submitignore": "# mine\n*.ipynb\n/scratch/\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


def packed(mine: Path, place: Path) -> Path:
    write_package(mine, "purchase", place)
    return place


def test_it_holds_what_travels_and_the_manifest_of_every_file(mine, tmp_path):
    shown, digest = write_package(mine, "purchase", tmp_path / "mine.zip")
    with zipfile.ZipFile(tmp_path / "mine.zip") as file:
        names = file.namelist()
        manifest = json.loads(file.read(FILE))
        held = {name: file.read(name) for name in names if name != FILE}
    assert names == [FILE, "aicrowd.json", "mine/requirements.txt", "mine/run.py", "mine/words/list.txt"]
    assert digest == hashlib.sha256((tmp_path / "mine.zip").read_bytes()).hexdigest()
    assert {f["path"]: (f["bytes"], f["sha256"]) for f in manifest["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in held.items()
    }
    assert (manifest["owner"], manifest["challenge"], manifest["entry"]) == ("Foxes", "labels", "run.py")
    assert manifest["digest"] == read_source(mine).digest
    assert "numpy" in manifest["versions"]
    assert "processor" not in manifest["versions"], "whose machine it was is nobody's business"
    left = dict(shown.left)
    assert left[".env"] == left["words/id_rsa"] == left["server.PEM"] == "a secret by its name, which never travels"
    assert left["draft.ipynb"] == "named in .submitignore, line 2"
    assert left["scratch"] == "named in .submitignore, line 3"


def test_equal_files_give_an_equal_archive_whatever_their_dates_and_order(mine, tmp_path):
    first = packed(mine, tmp_path / "first.zip").read_bytes()
    other = tmp_path / "elsewhere" / "mine"
    for path in sorted(mine.rglob("*"), reverse=True):
        if path.is_file():
            place = other / path.relative_to(mine)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
            place.chmod(0o700)
            os.utime(place, (10**9, 10**9))
    assert packed(other, tmp_path / "second.zip").read_bytes() == first


def test_a_link_to_a_secret_stays_at_home(mine):
    (mine / "harmless.txt").symlink_to(".env")
    shown = preview(mine, "purchase")
    assert "harmless.txt" in dict(shown.left)
    assert not any("harmless" in member.path for member in shown.package.files)


def test_what_is_unpacked_is_the_same_submission(mine, tmp_path):
    with unpacked(packed(mine, tmp_path / "mine.zip")) as (package, folder):
        assert looked_at(folder).digest == package.digest == read_source(mine).digest
        assert json.loads((folder.parent / "aicrowd.json").read_text())["team"] == "Foxes"
        kept = folder
    assert not kept.exists()


def test_a_package_that_was_packed_anew_by_zip_on_linux_is_the_same(mine, tmp_path):
    (mine / "größe.txt").write_text("x")
    shown, _ = write_package(mine, "purchase", tmp_path / "a.zip")

    class LinuxInfo(zipfile.ZipInfo):
        """UTF-8, and no flag that says so."""

        def _encodeFilenameFlags(self):
            return self.filename.encode(), self.flag_bits

    with zipfile.ZipFile(tmp_path / "a.zip") as old, zipfile.ZipFile(tmp_path / "b.zip", "w") as new:
        for info in old.infolist():
            new.writestr(LinuxInfo(info.filename), old.read(info))
    with unpacked(tmp_path / "b.zip") as (package, folder):
        assert package == shown.package
        assert (folder / "größe.txt").read_text() == "x"


def test_a_submission_of_one_file_keeps_its_digest(tmp_path):
    (tmp_path / "solo.py").write_text("import helper\n" + RUN)
    (tmp_path / "helper.py").write_text("x = 1\n")
    (tmp_path / "other.py").write_text("y = 1\n")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    with unpacked(packed(tmp_path / "solo.py", tmp_path / "solo.zip")) as (package, folder):
        assert [member.path for member in package.files] == ["requirements.txt", "solo/helper.py", "solo/solo.py"]
        assert looked_at(folder).digest == read_source(tmp_path / "solo.py").digest


@pytest.mark.parametrize("name", ["metadata", "Metadata.yaml"])
def test_names_that_are_orders_to_a_platform_are_refused(mine, tmp_path, name):
    (mine / name).write_text("command: id")
    with pytest.raises(SubmissionError, match="order of their own"):
        write_package(mine, "purchase", tmp_path / "mine.zip")
    assert not (tmp_path / "mine.zip").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [("!run.py", "takes a name back"), ("a/**/b", r"\*\*"), ("../x", "an empty name"), ("*a" * 9, "stars"), ("x" * 201, "longer")],
)
def test_a_pattern_that_is_not_understood_is_named_with_its_line(mine, line, said):
    (mine / ".submitignore").write_text(f"# first\n{line}\n")
    with pytest.raises(SubmissionError, match=said) as caught:
        preview(mine, "purchase")
    assert "line 2" in str(caught.value)


# -- hostile archives


def forged(
    source: Path, target: Path, *, change=lambda manifest: None, drop=(), add=(), replace=None, mode=stat.S_IFREG | 0o644, twice=""
) -> Path:
    """A copy of an archive with something wrong in it."""
    replace = replace or {}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == FILE:
                manifest = json.loads(content)
                change(manifest)
                content = json.dumps(manifest).encode()
            if info.filename in drop:
                continue
            made = zipfile.ZipInfo(info.filename)
            made.external_attr = (mode if info.filename.endswith("list.txt") else stat.S_IFREG | 0o644) << 16
            new.writestr(made, replace.get(info.filename, content))
        for name, content in add:
            new.writestr(name, content)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate"):
                new.writestr(twice, "again")
    return target


def renamed(old: str, new: str):
    def change(manifest):
        for file in manifest["files"]:
            if file["path"] == old:
                file["path"] = new

    return change


def outside(path: str) -> dict:
    return {"change": renamed("mine/words/list.txt", path), "drop": ["mine/words/list.txt"], "add": [(path, "a\nb\n")]}


HOSTILE = {
    "a path that leaves the folder": (outside("mine/../../evil.txt"), "lies neither in"),
    "an absolute path": (outside("/tmp/evil.txt"), "lies neither in"),
    "a backslash": (outside("mine\\evil.txt"), "lies neither in"),
    "a file beside": (outside("evil.txt"), "lies neither in"),
    "a name with a line end": (outside("mine/a\nb.txt"), "lies neither in"),
    "a file that the manifest does not name": ({"add": [("mine/more.py", "x")]}, "in the archive and not in the manifest"),
    "a file that is missing": ({"drop": ["mine/run.py"]}, "is missing"),
    "other bytes of the same length": ({"replace": {"mine/words/list.txt": "c\nd\n"}}, "not those that the manifest names"),
    "more bytes": ({"replace": {"mine/words/list.txt": "a\nb\n" * 1000}}, "not those that the manifest names"),
    "fewer bytes": ({"replace": {"mine/words/list.txt": "a"}}, "not those that the manifest names"),
    "a link": ({"mode": stat.S_IFLNK | 0o777}, "a link or a device"),
    "a name twice": ({"twice": "mine/run.py"}, "names a file twice"),
    "no manifest": ({"drop": [FILE]}, "so it is no package"),
    "a manifest that is no JSON": ({"replace": {FILE: "{"}}, "JSON"),
    "a deep manifest": ({"replace": {FILE: "[" * 50 + "]" * 50}}, "nested more than 6 deep"),
    "another schema": ({"change": lambda m: m.update(schema=9)}, "schema 9"),
    "an unknown key": ({"change": lambda m: m.update(more=1)}, "keys are not those"),
    "a name that leaves": ({"change": lambda m: m.update(name="..")}, "is no name of a submission"),
    "a size that is no number": ({"change": lambda m: m["files"][0].update(bytes="1")}, "no file with path"),
    "a negative size": ({"change": lambda m: m["files"][0].update(bytes=-1)}, "fewer than 0"),
    "a size beyond the bound": ({"change": lambda m: m["files"][-1].update(bytes=2**40)}, "more than 1,073,741,824"),
    "a main file that is not there": ({"change": lambda m: m.update(entry="other.py")}, "main file"),
    "an order to a platform": (outside("mine/metadata"), "order of their own"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_is_not_what_it_says_is_refused_in_words(mine, tmp_path, name):
    how, said = HOSTILE[name]
    archive = forged(packed(mine, tmp_path / "good.zip"), tmp_path / "bad.zip", **how)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PackageError, match=said), unpacked(archive):
        pass
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left outside"
    assert not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_named(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(PackageError, match="no zip archive"), unpacked(tmp_path / "x.zip"):
        pass


def test_damage_anywhere_is_found(mine, tmp_path):
    archive = packed(mine, tmp_path / "mine.zip")
    good = archive.read_bytes()
    places = [good.index(b"class Mine"), good.index(b'"owner"') + 3, len(good) - 30]
    for place in places:
        archive.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(PackageError), unpacked(archive):
            pass


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_to_a_compressed_archive_is_a_refusal_wherever_it_is(mine, tmp_path, method):
    with zipfile.ZipFile(packed(mine, tmp_path / "mine.zip")) as old, zipfile.ZipFile(tmp_path / "again.zip", "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    good = (tmp_path / "again.zip").read_bytes()
    draw = generator(0, "damage")
    for number in range(60):
        bad = bytearray(good)
        for place in draw.integers(0, len(good), 4):
            bad[place] = int(draw.integers(0, 256))
        (tmp_path / "bad.zip").write_bytes(bad)
        with suppress(PackageError):
            (tmp_path / f"out{number}").mkdir()
            unpack(tmp_path / "bad.zip", tmp_path / f"out{number}")
        with suppress(PackageError):
            read_package(tmp_path / "bad.zip")


@pytest.mark.parametrize(
    ("field", "form"), [(8, "<H"), (10, "<H"), (12, "<I"), (16, "<I")], ids=["here", "in all", "bytes", "place of the list"]
)
@pytest.mark.parametrize("change", [-1, 1, 1_000, 1_000_000_000, 3_000_000_000])
def test_an_end_that_points_elsewhere_is_a_refusal_and_no_fault_of_the_disk(mine, tmp_path, field, form, change):
    """A place before the begin of the file gives ``EINVAL`` from the system, which a judge took for a fault of its machine."""
    archive = packed(mine, tmp_path / "mine.zip")
    bad = bytearray(archive.read_bytes())
    end = bad.rfind(b"PK\x05\x06") + field
    (value,) = struct.unpack_from(form, bad, end)
    struct.pack_into(form, bad, end, (value + change) % (1 << 8 * struct.calcsize(form)))
    archive.write_bytes(bad)
    for read in (read_package, lambda path: unpack(path, tmp_path / "out")):
        (tmp_path / "out").mkdir(exist_ok=True)
        with suppress(PackageError):
            read(archive)
    if field in (12, 16):
        with pytest.raises(PackageError):
            read_package(archive)


@pytest.mark.parametrize("offset", [1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_members_that_lie_where_no_file_can_are_a_refusal(mine, tmp_path, offset):
    with zipfile.ZipFile(packed(mine, tmp_path / "mine.zip")) as old, zipfile.ZipFile(tmp_path / "far.zip", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for info in new.infolist():
            info.header_offset = offset
    for read in (read_package, lambda path: unpack(path, tmp_path / "out")):
        (tmp_path / "out").mkdir(exist_ok=True)
        with pytest.raises(PackageError, match="no zip archive, or it is damaged"):
            read(tmp_path / "far.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_may_ask_for_any_memory_is_refused(mine, tmp_path, method):
    with zipfile.ZipFile(packed(mine, tmp_path / "mine.zip")) as old, zipfile.ZipFile(tmp_path / "again.zip", "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(PackageError, match="another method than deflate"), unpacked(tmp_path / "again.zip"):
        pass


def test_a_list_of_files_that_would_fill_the_memory_is_refused_before_it_is_read(mine, tmp_path, monkeypatch):
    archive = packed(mine, tmp_path / "mine.zip")
    monkeypatch.setattr(package, "MAX_LIST", 100)
    monkeypatch.setattr(package.zipfile, "ZipFile", lambda *_: pytest.fail("the list was read"))
    for reads in (lambda: read_package(archive), lambda: unpack(archive, tmp_path)):
        with pytest.raises(PackageError, match="a list may have 100 bytes"):
            reads()


# -- the verbs


def test_the_verb_packs_and_validate_reads_it(mine, tmp_path, capsys):
    out = tmp_path / "mine.zip"
    assert main(["package", str(mine), "--out", str(out), "--dry-run"]) == 0
    assert not out.exists()
    assert main(["package", str(mine), "--out", str(out), "--json"]) == 0
    assert out.exists()
    capsys.readouterr()
    assert main(["package", str(mine), "--out", str(out), "--json", "--replace"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sha256"], told["package"]["owner"]) == (file_digest(out), "Foxes")
    assert told["left_behind"][".env"].startswith("a secret")
    assert main(["package", str(mine), "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    before = file_digest(out)
    assert main(["package", str(mine), "--out", str(out), "--replace"]) == 0
    assert file_digest(out) == before
    assert before in capsys.readouterr().out
    assert main(["validate", str(out), "--no-run"]) == 0
    shown = capsys.readouterr()
    assert "by Foxes: all 4 files are what its manifest says" in shown.err
    assert "fit to submit" in shown.out


def test_a_submission_that_is_not_fit_is_not_packed(mine, tmp_path, capsys):
    (mine / "run.py").write_text("class Mine(:\n")
    assert main(["package", str(mine), "--out", str(tmp_path / "mine.zip")]) == 1
    assert not (tmp_path / "mine.zip").exists()
    assert "does not compile" in capsys.readouterr().out


def test_an_archive_in_the_submissions_own_folder_is_refused(mine, capsys):
    assert main(["package", str(mine), "--out", str(mine / "mine.zip")]) == 2
    assert "would become a part of it" in capsys.readouterr().err


def test_what_looks_like_a_password_is_a_warning_that_does_not_show_it(mine, tmp_path, capsys):
    pytest.importorskip("detect_secrets")
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
    (mine / "words" / "list.txt").write_text(f"token = {token!r}\n")
    assert main(["package", str(mine), "--out", str(tmp_path / "mine.zip")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "words/list.txt, line 1: looks like a secret" in shown
    assert token not in shown
