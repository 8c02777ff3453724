"""Images, tables, archives and arrays of strangers: what would take minutes or all memory is refused before it is decoded."""

import io
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from fuzzing import counts, hold, texts
from hypothesis import strategies as st
from PIL import Image

from evaluator.data import decoding, folders, labels, members
from evaluator.data.archive import unpack
from evaluator.data.arrays import map_npy
from evaluator.data.decoding import decode
from evaluator.data.labels import read_table
from evaluator.errors import DataError
from evaluator.worker.pictures import MAX_SCANS, scans

CLASSES = ("a", "b")


def jpeg(side: int = 64, **how) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", **how)
    return file.getvalue()


def png(side: int = 8, **how) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (10, 200, 30)).save(file, "PNG", **how)
    return file.getvalue()


def many_scans(scans: int, side: int = 2_048) -> bytes:
    """A progressive JPEG that repeats its last, nearly empty scan."""
    raw = jpeg(side, progressive=True, quality=1)
    last = raw.rindex(b"\xff\xda")
    header = raw[last : last + 2 + int.from_bytes(raw[last + 2 : last + 4], "big")]
    return raw[:-2] + (header + b"\x00" * 4) * scans + b"\xff\xd9"


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded():
    raw = many_scans(20_000)
    began = time.process_time()
    with pytest.raises(DataError, match=r"a\.jpg is a JPEG of \d+ scans"):
        decode(raw, "a.jpg", 32)
    assert time.process_time() - began < 1


def test_honest_jpegs_are_read():
    for raw in (jpeg(), jpeg(progressive=True), jpeg(progressive=True, optimize=True, quality=95)):
        assert decode(raw, "a.jpg", None)[0].shape == (64, 64, 3)
        # A preview in a segment and a film behind the end are no scans of the image.
        preview = b"\xff\xe1" + struct.pack(">H", 60_002) + (b"\xff\xda" * 30_000)
        assert decode(raw[:2] + preview + raw[2:] + b"\xff\xda" * 10_000, "a.jpg", None)[0].shape == (64, 64, 3)
    assert scans(jpeg()) == 1
    assert 2 < scans(jpeg(progressive=True)) <= 10 < MAX_SCANS


def test_animations_other_formats_and_files_without_end_are_refused(monkeypatch, tmp_path):
    frames = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(5)]
    with pytest.raises(DataError, match="animation of 5 frames"):
        decode(png(save_all=True, append_images=frames[1:]), "a.png", None)
    for kind in ("GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM"):
        file = io.BytesIO()
        frames[0].save(file, kind)
        with pytest.raises(DataError, match="expected a PNG or JPEG"):
            decode(file.getvalue(), "a.png", None)
    monkeypatch.setattr(decoding, "MAX_IMAGE_BYTES", 1_000)
    with pytest.raises(DataError, match="has 2000 bytes; an image has at most 1000"):
        decode(bytes(2_000), "a.png", None)


def test_bytes_behind_the_end_of_a_png_are_no_part_of_it_and_a_png_without_end_is_refused():
    whole = png()
    assert np.array_equal(decode(whole + bytes(100_000), "a.png", None)[0], decode(whole, "a.png", None)[0])
    with pytest.raises(DataError, match="is cut short"):
        decode(whole[:-12] + bytes(100_000), "a.png", None)


def test_a_png_with_huge_texts_or_with_more_pixels_than_it_says_is_bounded():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = png()
    bomb = zlib.compress(bytes(2**28), 9)
    text = chunk(b"zTXt", b"Comment\0\0" + bomb)
    began = time.process_time()
    with pytest.raises(DataError, match=r"a\.png is no image"):
        decode(raw[:33] + text + raw[33:], "a.png", None)
    pixels = raw[:33] + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    assert decode(pixels, "a.png", None)[0].shape == (8, 8, 3), "what is more than the header says is not unpacked"
    assert time.process_time() - began < 5


@counts(150)
def test_any_bytes_give_an_image_or_the_one_error(count):
    bases = [png(), jpeg(16), jpeg(16, progressive=True)]

    def check(base, place, new, cut):
        raw = bases[base]
        place = place % len(raw)
        raw = (raw[:place] + new + raw[place + len(new) :])[: len(raw) - cut]
        try:
            array, _ = decode(raw, "x.png", None)
        except DataError as error:
            text = str(error)
        else:
            assert array.dtype == np.uint8
            text = "x.png"
        assert text.startswith("x.png")

    hold(count, check, st.integers(0, 2), st.integers(0, 10_000), st.binary(max_size=4), st.integers(0, 20))


# -- labels.csv


def table(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


def test_tables_are_bounded_in_bytes_columns_lines_and_cells(tmp_path, monkeypatch):
    head = "filename,a,b\n"
    for text, why in {
        head + "x" * 100_001 + ",0,1\n": r"row 2: 100005 characters",
        "filename," + ",".join(f"c{i}" for i in range(1_100)) + "\nx" + ",0" * 1_100 + "\n": "row 1: 1101 columns",
        f'filename,labels\nx,"[{"[" * 9_000}"\n': "not a list of class names",
        f'filename,labels\nx,"[{"1," * 20_000}1]"\n': "a list of 40003 characters",
    }.items():
        with pytest.raises(DataError, match=why):
            read_table(table(tmp_path, text), CLASSES)
    path = table(tmp_path, head)
    with open(path, "r+b") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"labels\.csv has 1099511627776 bytes"):
        read_table(path, CLASSES)
    monkeypatch.setattr(labels, "MAX_CELLS", 100)
    with pytest.raises(DataError, match=r"\d+ cells or more"):
        read_table(table(tmp_path, head + "x.png,0,1\n" * 80), CLASSES)


@counts(150)
def test_any_table_is_read_or_refused_with_its_file(count, tmp_path):
    good = "filename,a,b\nx.png,0,1\ny.png,1,1\n"

    def check(text, place, kept):
        mixed = (good[:place] + text + good[place:]) if kept else text
        try:
            found = read_table(table(tmp_path, mixed), CLASSES)
        except DataError as error:
            said = str(error)
        else:
            assert found.labels.shape == (len(found.names), 2)
            assert set(np.unique(found.labels)) <= {0, 1}
            said = str(tmp_path)
        assert str(tmp_path) in said

    words = st.lists(st.sampled_from([",", "\n", '"', ";", "\t", "0", "1", "a", "labels", "[", "]", "'", "\r"])).map("".join)
    hold(count, check, st.one_of(texts, words), st.integers(0, 33), st.booleans())


def test_images_beyond_the_limits_are_refused_before_they_are_read(tmp_path, monkeypatch):
    split = tmp_path / "training"
    (split / "images").mkdir(parents=True)
    with open(split / "images" / "a.png", "wb") as file:
        file.truncate(60 * 2**30)  # sparse: hashing it would take minutes
    (split / "labels.csv").write_text("filename,a\na.png,1\n")
    with pytest.raises(DataError, match=r"a\.png has 64424509440 bytes; an image has at most"):
        folders.read_split(split, ("a",))
    (split / "images" / "a.png").write_bytes(png())
    (split / "images" / "b.png").write_bytes(png())
    monkeypatch.setattr(folders, "MOST_IMAGES", 1)
    with pytest.raises(DataError, match="more than 1 images"):
        folders.read_split(split, ("a",))


# -- archives


def test_a_zip_archive_with_a_huge_list_of_members_is_refused_before_it_is_listed(tmp_path, monkeypatch):
    archive = tmp_path / "training.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(50):
            file.writestr(f"training/{number}", b"")
    monkeypatch.setattr(members, "_MAX_ENTRIES", 20)
    with pytest.raises(DataError, match="lists 50 members"):
        unpack(archive, tmp_path / "to")
    monkeypatch.undo()
    monkeypatch.setattr(members, "_MAX_DIRECTORY", 1_000)
    with pytest.raises(DataError, match=r"members in \d+ bytes"):
        unpack(archive, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_headers_of_a_tar_archive_do_not_pile_up(tmp_path):
    archive = tmp_path / "training.tar"
    with open(archive, "wb") as file:
        for number in range(40):
            header = tarfile.TarInfo()
            header.type = tarfile.XGLTYPE
            body = b"".join(_record(f"key{number}-{i}", "v" * 5_000) for i in range(20))
            header.size = len(body)
            file.write(header.tobuf() + body + bytes(-len(body) % 512))
            file.write(tarfile.TarInfo(f"training/{number}").tobuf())
        file.write(bytes(1_024))
    with pytest.raises(DataError, match="global headers"):
        unpack(archive, tmp_path / "to")


def _record(key: str, value: str) -> bytes:
    length = len(f" {key}={value}\n")
    total = length + len(str(length + len(str(length))))
    return f"{total} {key}={value}\n".encode()


@counts(100)
def test_any_archive_is_unpacked_or_refused_and_leaves_nothing_outside(count, tmp_path):
    def tar(kind: str) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=f"w:{kind}") as made:
            for name, data in {"training/labels.csv": b"filename,a\nx.png,1\n", "training/images/x.png": png()}.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                made.addfile(info, io.BytesIO(data))
        return file.getvalue()

    def zipped() -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("training/labels.csv", "filename,a\nx.png,1\n")
            made.writestr("training/images/x.png", png())
        return file.getvalue()

    bases = [tar(""), tar("gz"), tar("xz"), tar("bz2"), zipped()]
    room = tmp_path / "room"
    room.mkdir()

    def check(base, changes, cut):
        raw = bytearray(bases[base])
        for place, value in changes:
            raw[place % len(raw)] = value
        archive, to = room / "training.x", room / "to"
        archive.write_bytes(bytes(raw)[: len(raw) - cut])
        said = str(room)
        try:
            unpack(archive, to, replace=True)
        except DataError as error:
            said = str(error)
        assert str(room) in said
        assert {path.name for path in room.iterdir()} <= {"training.x", "to"}
        assert not any(path.is_symlink() for path in room.rglob("*"))

    spots = st.tuples(st.integers(0, 2_000), st.integers(0, 255))
    hold(count, check, st.integers(0, 4), st.lists(spots, max_size=4), st.integers(0, 30))


# -- .npy


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


GOOD = npy(np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x93NUMPY",
        npy(np.array([{}], object)),
        GOOD[:-1],
        GOOD + b"x",
        GOOD.replace(b"(2, 3)", b"(9, 9)"),
        GOOD.replace(b"'shape': (2, 3), ", b"'shape': (10**9,)"),
        GOOD.replace(b"<f4", b"<f8"),
        GOOD.replace(b"<f4", b"|O8"),
        npy(np.arange(6, dtype=np.float32)),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 9_000) + b"(" * 9_000,
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"-" * 60_000,
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{",
    ],
    ids=range(13),
)
def test_a_file_that_is_no_array_of_ours_is_refused_without_memory(tmp_path, raw):
    path = tmp_path / "a.npy"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"a\.npy"):
        map_npy(path, np.float32, 2)


@counts(300)
def test_any_header_maps_or_is_refused(count, tmp_path):
    path = tmp_path / "a.npy"

    def check(place, new, cut):
        path.write_bytes((GOOD[:place] + new + GOOD[place + len(new) :])[: len(GOOD) - cut])
        try:
            found = map_npy(path, np.float32, 2)
        except ValueError as error:
            said = str(error)
        else:
            assert found.nbytes == 24
            said = "a.npy"
        assert "a.npy" in said

    hold(count, check, st.integers(0, 140), st.binary(max_size=6), st.integers(0, 40))
