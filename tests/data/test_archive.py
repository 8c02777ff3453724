"""Archives: what an official one becomes, and every hostile one refused with nothing left behind."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluator.data.archive import unpack
from evaluator.data.folders import read_split
from evaluator.data.members import zip_name
from evaluator.errors import DataError

CLASSES = ("a", "b")


def png(value: int = 0, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def contents(prefix: str = "training/", count: int = 3) -> dict[str, bytes]:
    table = "filename,a,b\n" + "".join(f"{i}.png,{i % 2},1\n" for i in range(count))
    return {f"{prefix}labels.csv": table.encode(), **{f"{prefix}images/{i}.png": png(i) for i in range(count)}}


def tar(path: Path, files: dict[str, bytes], *members: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return path


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zipped(path: Path, files: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


class LinuxInfo(zipfile.ZipInfo):
    """A member as ``zip`` on Linux writes it: UTF-8, and no flag that says so."""

    def _encodeFilenameFlags(self):
        return self.filename.encode(), self.flag_bits


def zipped_on_linux(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(LinuxInfo(name), data)
    return path


def import_archive(archive: Path, target: Path, **options) -> list[str]:
    """The names of the splits that were unpacked."""
    return list(unpack(archive, target, **options).splits)


def refused(archive: Path, target: Path, *words: str, **options) -> None:
    """The import fails, says why, and leaves the target as it was."""
    before = sorted(p.relative_to(target) for p in target.rglob("*")) if target.exists() else None
    with pytest.raises(DataError) as caught:
        import_archive(archive, target, **options)
    for word in (archive.name, *words):
        assert word in str(caught.value)
    after = sorted(p.relative_to(target) for p in target.rglob("*")) if target.exists() else None
    assert after == before


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "tar.bz2", "zip"])
@pytest.mark.parametrize("prefix", ["training/", "./training/", "dpc/v0.2/training/", "training-v0.2-rc4/", "", "images-of-2022/"])
def test_every_form_of_an_official_archive_gives_the_same_split(tmp_path, suffix, prefix):
    path = tmp_path / f"training-v0.2-rc4.{suffix}"
    if suffix == "zip":
        zipped(path, contents(prefix))
    else:
        tar(path, contents(prefix), mode="w:" + suffix.partition(".")[2])
    calls = []
    assert import_archive(path, tmp_path / "data", progress=lambda done, total: calls.append((done, total))) == ["training"]
    split = read_split(tmp_path / "data" / "training", CLASSES)
    assert split.labels.tolist() == [[0, 1], [1, 1], [0, 1]]
    assert split.path(2).read_bytes() == png(2)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["training"]
    assert calls
    assert all(0 <= done <= total == path.stat().st_size for done, total in calls)


@pytest.mark.parametrize("pack", [zipped, zipped_on_linux])
def test_names_beyond_ascii_are_those_that_were_packed(tmp_path, pack):
    names = ("größe 1.png", "猫.png", "é😀.png")
    table = "filename,a,b\n" + "".join(f"{name},1,0\n" for name in names)
    files = {"training/labels.csv": table.encode(), **{f"training/images/{name}": png(i) for i, name in enumerate(names)}}
    archive = pack(tmp_path / "a.zip", files)
    with zipfile.ZipFile(archive) as file:
        assert all(info.flag_bits & 0x800 for info in file.infolist()[1:]) == (pack is zipped)
    import_archive(archive, tmp_path / "data")
    assert read_split(tmp_path / "data" / "training", CLASSES).files == tuple(sorted(names))


def test_a_name_in_the_characters_of_the_first_pcs_is_read_as_such():
    info = zipfile.ZipInfo("größe.png")  # as zipfile gives it where the flag is missing and the bytes are of code page 437
    assert zip_name(info) == "größe.png"


def test_one_archive_may_hold_several_splits_and_the_american_spelling_is_understood(tmp_path):
    path = tar(tmp_path / "all.tar.gz", contents("d/training/") | contents("d/unlabeled/", 4))
    result = unpack(path, tmp_path / "data")
    assert set(result.splits) == {"training", "unlabelled"}
    assert result.images == {"training": 3, "unlabelled": 4}


def test_other_files_are_left_out_and_counted(tmp_path):
    files = {
        "training/run.sh": b"x",
        "training/images/._0.png": b"x",
        "training/.DS_Store": b"",
        "__MACOSX/training/images/0.png": b"x",
    }
    path = tar(tmp_path / "training.tar.gz", contents() | files)
    assert unpack(path, tmp_path / "data").left_out == len(files)
    assert sorted(p.name for p in (tmp_path / "data" / "training").rglob("*")) == [
        "0.png",
        "1.png",
        "2.png",
        "images",
        "labels.csv",
    ]


def test_modes_and_owners_of_the_archive_are_not_taken_over(tmp_path):
    info = tarfile.TarInfo("training/images/9.png")
    info.mode = 0o6777
    path = tar(tmp_path / "training.tar", contents(), info, mode="w")
    import_archive(path, tmp_path / "data")
    mode = (tmp_path / "data" / "training" / "images" / "9.png").stat().st_mode
    assert not mode & 0o6111


ESCAPES = ["../training/images/x.png", "training/images/../../../x.png", "/training/images/x.png", "C:/training/images/x.png"]
ESCAPES += ["training\\images\\..\\..\\..\\x.png", "\\\\host\\training\\images\\x.png", "C:images/x.png"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_a_path_that_leaves_the_folder_refuses_the_whole_archive(tmp_path, name, suffix):
    path = tmp_path / f"training.{suffix}"
    (zipped if suffix == "zip" else tar)(path, contents() | {name: png()})
    refused(path, tmp_path / "deep" / "data", "nothing was imported", "path")
    assert not list(tmp_path.rglob("x.png"))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_links_and_devices_are_refused(tmp_path, kind, word):
    secret = tmp_path / "secret"
    secret.write_text("s")
    path = tar(tmp_path / "training.tar.gz", contents(), special("training/images/x.png", kind, str(secret)))
    refused(path, tmp_path / "data", word, "training/images/x.png")


def test_a_folder_that_is_a_link_first_is_refused_before_anything_is_written_through_it(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tmp_path / "training.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(special("training/images", tarfile.SYMTYPE, str(outside)))
        for name, data in contents().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    refused(path, tmp_path / "data", "link")
    assert not list(outside.iterdir())


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "training.zip", contents())
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("training/images/x.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    refused(path, tmp_path / "data", "link")


@pytest.mark.parametrize("more", [1_000_000_000, 3_000_000_000])
def test_a_list_that_lies_before_the_begin_is_damage_and_no_fault_of_the_disk(tmp_path, more):
    path = zipped(tmp_path / "training.zip", contents())
    raw = bytearray(path.read_bytes())
    end = raw.rfind(b"PK\x05\x06") + 16
    raw[end : end + 4] = (int.from_bytes(raw[end : end + 4], "little") + more).to_bytes(4, "little")
    path.write_bytes(raw)
    refused(path, tmp_path / "data", "cannot be read")


def test_sparse_files_are_refused(tmp_path):
    info = tarfile.TarInfo("training/images/x.png")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": str(2**40),
        "GNU.sparse.name": "training/images/x.png",
    }
    body = b"1\n0\n0\n".ljust(512, b"\0")
    info.size = len(body)
    path = tmp_path / "training.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(body))
    refused(path, tmp_path / "data")


def test_bytes_are_bounded_as_written(tmp_path):
    path = tar(tmp_path / "training.tar.gz", contents() | {"training/images/x.png": os.urandom(50_000)})
    refused(path, tmp_path / "data", "40000 bytes", limit_bytes=40_000)
    assert import_archive(path, tmp_path / "data", limit_bytes=60_000) == ["training"]


def test_files_are_bounded(tmp_path):
    path = tar(tmp_path / "training.tar.gz", contents(count=10))
    refused(path, tmp_path / "data", "more than 10 members", limit_files=10)


@pytest.mark.parametrize(
    ("suffix", "kept"), [("tar.gz", True), ("tar.gz", False), ("tar.xz", True), ("tar.xz", False), ("zip", True)]
)
def test_a_bomb_is_refused_whether_its_bytes_are_kept_or_skipped(tmp_path, suffix, kept):
    name = "training/images/x.png" if kept else "training/x.bin"
    path = tmp_path / f"training.{suffix}"
    files = {name: bytes(80 * 2**20)} | contents()
    if suffix == "zip":
        zipped(path, files)
    else:
        tar(path, files, mode="w:" + suffix[4:])
    refused(path, tmp_path / "data", "times its size")


def test_a_header_that_claims_to_be_huge_is_refused_before_it_is_read_into_memory(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 6 * 2**30
    path = tmp_path / "training.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**16))
    refused(path, tmp_path / "data", "header of")


def test_nested_extended_headers_are_refused(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512
    path = tmp_path / "training.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write((info.tobuf(tarfile.GNU_FORMAT) + bytes(512)) * 5000)
    refused(path, tmp_path / "data")


def test_a_header_that_lies_about_its_size_does_not_pass_in_silence(tmp_path):
    whole = tar(tmp_path / "training.tar", {"training/images/0.png": png()} | contents("training/"), mode="w").read_bytes()
    info = tarfile.TarInfo("training/images/0.png")
    for size in (len(png()) + 5 * 512, 10**9):  # swallows the members behind it; claims more than there is
        info.size = size
        (tmp_path / "training.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + whole[512:])
        refused(tmp_path / "training.tar", tmp_path / "data")


def test_a_broken_header_in_the_middle_is_not_taken_for_the_end(tmp_path):
    path = tar(tmp_path / "training.tar", contents(), mode="w")
    raw = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        offset = archive.getmember("training/images/2.png").offset
    raw[offset + 148] ^= 0x55  # the checksum of the last image's header
    path.write_bytes(raw)
    refused(path, tmp_path / "data", "damaged")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_an_archive_cut_short_at_any_place_is_refused(tmp_path, mode):
    path = tar(tmp_path / "training.tar", contents(), mode=mode)
    raw = path.read_bytes()
    with tarfile.open(path) as archive:
        data = archive.getmember("training/images/2.png").offset_data + len(png())
    end = data if mode == "w" else len(raw)
    for length in {1, 100, 512, 1024, 2048, end // 2, end - 1, end - 20}:
        if length < end:
            path.write_bytes(raw[:length])
            refused(path, tmp_path / "data")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_bytes_are_changed_it_is_refused_or_imported_whole(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    kind = data.draw(st.sampled_from(["tar", "tar.gz", "zip"]))
    path = folder / f"training.{kind}"
    if kind == "zip":
        zipped(path, contents())
    else:
        tar(path, contents(), mode="w:" + kind[4:])
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        import_archive(path, folder / "data", limit_bytes=10**6)
    except DataError:
        assert not (folder / "data").exists()
    else:
        assert [p.name for p in (folder / "data").iterdir()] == ["training"]


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "training.tar.gz"
    refused(path, tmp_path / "data", "does not exist")
    for content in (b"", b"hello", b"PK\3\4 not a zip", b"\x1f\x8bnot gzip", b"\xfd7zXZ\0no"):
        path.write_bytes(content)
        refused(path, tmp_path / "data")


def test_a_member_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "training.tar"
    tar(path, contents(), mode="w")
    tar(path, {"training/images/0.png": png(9)}, mode="a")
    refused(path, tmp_path / "data", "twice", "training/images/0.png")


def test_archives_that_are_no_split_or_an_incomplete_one_are_refused(tmp_path):
    refused(tar(tmp_path / "x.tar", contents(""), mode="w"), tmp_path / "data", "which split")
    refused(tar(tmp_path / "y.tar", {"training/readme.txt": b"x"}, mode="w"), tmp_path / "data", "holds no images")
    files = contents()
    table = files.pop("training/labels.csv")
    refused(tar(tmp_path / "z.tar", files, mode="w"), tmp_path / "data", "labels.csv")
    refused(tar(tmp_path / "u.tar", {"training/labels.csv": table}, mode="w"), tmp_path / "data", "no images")


def test_an_existing_split_is_kept_unless_replaced_and_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "data"
    import_archive(tar(tmp_path / "training-1.tar", contents(), mode="w"), target)
    second = tar(tmp_path / "training-2.tar", contents(count=5), mode="w")
    with pytest.raises(DataError, match="already exists"):
        import_archive(second, target)
    assert len(read_split(target / "training", CLASSES)) == 3

    raw = second.read_bytes()
    cut = tmp_path / "training-3.tar"
    cut.write_bytes(raw[: len(raw) // 2])
    refused(cut, target, replace=True)
    assert len(read_split(target / "training", CLASSES)) == 3

    import_archive(second, target, replace=True)
    assert len(read_split(target / "training", CLASSES)) == 5
    assert [p.name for p in target.iterdir()] == ["training"]


def test_nothing_is_imported_into_a_generated_data_set(tmp_path):
    target = tmp_path / "data"
    target.mkdir()
    (target / "dataset.json").write_text("{}")
    path = tar(tmp_path / "training.tar", contents(), mode="w")
    with pytest.raises(DataError, match="generated data set"):
        import_archive(path, target, replace=True)
    assert [p.name for p in target.iterdir()] == ["dataset.json"]


def test_half_an_import_is_never_visible_under_the_splits_name(tmp_path):
    seen = []
    target = tmp_path / "data"
    path = tar(tmp_path / "training.tar", contents(count=6), mode="w")
    import_archive(path, target, progress=lambda *_: seen.append((target / "training").exists()))
    assert seen
    assert not any(seen)
    assert (target / "training").exists()


def test_a_failing_rename_puts_the_old_split_back(tmp_path, monkeypatch):
    target = tmp_path / "data"
    import_archive(tar(tmp_path / "training-1.tar", contents(), mode="w"), target)
    real = os.rename

    def rename(source, destination, **folders):
        if ".import." in str(source):
            raise OSError(28, "No space left on device")
        real(source, destination, **folders)

    monkeypatch.setattr(os, "rename", rename)
    refused(tar(tmp_path / "training-2.tar", contents(count=5), mode="w"), target, "No space", replace=True)
    monkeypatch.undo()
    assert len(read_split(target / "training", CLASSES)) == 3


def test_when_the_second_split_cannot_take_its_name_the_first_is_taken_back(tmp_path, monkeypatch):
    target = tmp_path / "data"
    both = contents() | contents("test/")
    import_archive(tar(tmp_path / "training.tar", contents(count=5), mode="w"), target)
    real = os.rename

    def rename(source, destination, **folders):
        if ".import." in str(source) and Path(destination).name == "test":
            raise OSError(28, "No space left on device")
        real(source, destination, **folders)

    monkeypatch.setattr(os, "rename", rename)
    refused(tar(tmp_path / "both.tar", both, mode="w"), target, "No space", replace=True)
    monkeypatch.undo()
    assert len(read_split(target / "training", CLASSES)) == 5
    assert [path.name for path in target.iterdir()] == ["training"]
