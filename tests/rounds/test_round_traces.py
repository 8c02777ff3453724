"""How hidden things are known again: in whatever file and form they lie, and not by chance."""

import base64
import gzip
import io
import json
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from evaluator.rounds.contents import Blob, Opaque, blobs, headers
from evaluator.rounds.traces import (
    Needles,
    Stretches,
    Traces,
    Word,
    information,
    number_needles,
    pair_pattern,
    task_pattern,
)

SECRET = 0x1F2E3D4C5B6A79880011223344556677
IMAGE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 2, (60, 3))


def png(image, text=None) -> bytes:
    buffer, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value, zip=True)
    Image.fromarray(image).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def zipped(*members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(name, content) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def everything(tmp_path, content, name="x") -> list:
    (tmp_path / name).write_bytes(content)
    return list(blobs(tmp_path / name, name))


def traces(tmp_path, content) -> Traces:
    found = Traces()
    for blob in everything(tmp_path, content):
        assert isinstance(blob, Blob)
        found.add(blob)
    return found


@pytest.mark.parametrize(
    "written",
    [
        lambda n: n.to_bytes(16, "big"),
        lambda n: n.to_bytes(16, "little"),
        lambda n: f"seed={n}".encode(),
        lambda n: f'"{n:032x}"'.encode(),
        lambda n: f"{n:032X}".encode(),
        lambda n: f"{n:032x}".encode("utf-16"),
        lambda n: base64.b64encode(n.to_bytes(16, "big")),
        lambda n: base64.b64encode(b"x" + n.to_bytes(16, "big") + b"yz"),
        lambda n: base64.b64encode(b"key=" + f"{n:032x}".encode()),
        lambda n: base64.urlsafe_b64encode(b"ab" + n.to_bytes(16, "big")),
    ],
)
@pytest.mark.parametrize(
    "packed",
    [
        lambda c: c,
        lambda c: zipped(("a/b.txt", c)),
        lambda c: gzip.compress(c),
        lambda c: tarred("deep.zip", zipped(("in.gz", gzip.compress(c)))),
    ],
    ids=["plain", "zip", "gzip", "zip in tar"],
)
def test_a_secret_is_found_however_it_is_written_and_packed(tmp_path, written, packed):
    needles = Needles(number_needles(SECRET))
    content = packed(b"before " + written(SECRET) + b" behind")
    found = {what for blob in everything(tmp_path, content) for what in needles.found(blob.content)}
    assert found
    clean = packed(b"before " + written(SECRET ^ (1 << 60)) + b" behind")
    assert not [what for blob in everything(tmp_path, clean) for what in needles.found(blob.content)]


def test_a_secret_in_the_compressed_text_of_an_image_and_behind_its_end_is_found(tmp_path):
    needles = Needles(number_needles(SECRET))
    for content in (png(IMAGE, {"Comment": f"made with {SECRET:032x}"}), png(IMAGE) + zlib.compress(b"x") + str(SECRET).encode()):
        assert [what for blob in everything(tmp_path, content) for what in needles.found(blob.content)]
    assert not [what for blob in everything(tmp_path, png(IMAGE)) for what in needles.found(blob.content)]


def test_needles_are_found_at_both_ends_of_a_content_and_each_once():
    needles = Needles({"a": b"12345678", "b": b"12345678xyz"})
    assert needles.found(b"12345678") == ["a"]
    assert needles.found(b"0" * 13 + b"12345678xyz12345678") == ["a", "b"]
    assert (needles.found(b"1234567"), needles.found(b""), Needles().found(b"12345678")) == ([], [], [])
    with pytest.raises(ValueError, match="8 or more"):
        needles.add(b"short", "c")


def test_numbers_that_are_found_by_chance_are_not_looked_for():
    assert number_needles(2022) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pairs 987:42.3", True),
        ("987x42.3", True),
        ("987,42.3", True),
        ('{"labels": 987, "minutes": 42.3}', True),
        ("987 labels and 42.3 minutes", True),
        ("1987:42.3", False),
        ("987:42.35", False),
        ("987 images, of which 42.3 % are good", False),
        ("1,321:34", False),
    ],
)
def test_a_hidden_pair_is_found_in_the_usual_ways_of_writing_it(text, found):
    assert (pair_pattern("987:42.3").search(text.encode()) is not None) == found
    assert Word.of("987:42.3").stands_in(text.encode()) == found


def test_a_whole_number_of_minutes_is_found_with_and_without_its_point():
    pattern = pair_pattern("987:42")
    assert [pattern.search(text) is not None for text in (b"987:42", b"987:42.0", b"987:42.5", b"987:420")] == [
        True,
        True,
        False,
        False,
    ]


def test_two_small_numbers_side_by_side_are_no_pair():
    assert pair_pattern("1:0.5").search(b"1,0.5,2") is None
    assert pair_pattern("1:0.5").search(b"1:0.5")


def test_the_name_of_a_task_is_a_word_of_its_own():
    pattern = task_pattern("digits-pairs-0.2")
    assert [pattern.search(text) is not None for text in (b"digits-pairs-0.2,", b"digits-pairs-0.25", b"my-digits-pairs-0.2")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "content",
    [
        png(IMAGE),
        png(IMAGE, {"Software": "another writer"}),
        zipped(("other.png", png(IMAGE))),
        npz(images=np.stack([IMAGE[::-1], IMAGE])),
        png(IMAGE[..., :1].repeat(3, axis=2)),
    ],
    ids=["copied", "written anew", "zipped", "array", "grey with colours"],
)
def test_an_image_is_known_by_its_pixels(tmp_path, content):
    hidden = Traces()
    hidden.add(Blob("hidden", png(IMAGE)))
    hidden.add(Blob("hidden grey", png(np.ascontiguousarray(IMAGE[..., 0]))))
    assert len(hidden.both("pixels", traces(tmp_path, content))) == 1
    assert hidden.both("pixels", traces(tmp_path, png(255 - IMAGE))) == []


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(["file,a,b,c", *(f"{i}.png," + ",".join(map(str, row)) for i, row in enumerate(LABELS.tolist()))]).encode(),
        "\n".join(f"q{i};" + ";".join(map(str, row)) for i, row in enumerate(LABELS.tolist())).encode(),
        "\n".join(["id,hv", *(f"{i}," + " ".join(map(str, row)) for i, row in enumerate(LABELS.tolist()))]).encode(),
        npz(y=LABELS),
        npz(y=LABELS[:, 1].astype(np.uint8)),
    ],
    ids=["other names", "without a header", "in a cell", "array", "one column"],
)
def test_labels_are_known_by_their_columns(tmp_path, content):
    hidden = Traces()
    hidden.labels(LABELS, "hidden")
    assert hidden.both("labels", traces(tmp_path, content))
    other = Traces()
    other.labels(1 - LABELS, "others")
    assert other.both("labels", traces(tmp_path, content)) == []


def test_labels_that_are_equal_by_chance_are_not_compared():
    assert information(["0", "1"] * 10) == pytest.approx(20)
    few = Traces()
    few.labels(np.array([0, 1] * 10), "few")
    few.labels(np.zeros(1_000, np.int64), "none")
    assert few.seen["labels"] == {}


def test_rows_of_numbers_are_known_again(tmp_path):
    rows = np.random.default_rng(2).normal(size=(5, 8)).astype(np.float32)
    hidden = Traces()
    hidden.rows(rows[2:3], "hidden")
    assert len(hidden.both("rows", traces(tmp_path, npz(encoding=rows.astype(np.float64))))) == 1
    assert hidden.both("rows", traces(tmp_path, npz(encoding=rows[:2]))) == []


@pytest.mark.parametrize("place", range(9))
def test_a_file_is_found_within_another_at_any_place(place):
    hidden = np.random.default_rng(3).bytes(500)
    stretches = Stretches()
    stretches.take(Blob("hidden", hidden))
    noise = np.random.default_rng(4).bytes(2_000)
    assert stretches.found(noise[: 700 + place] + hidden + noise) == ["hidden"]
    assert stretches.found(noise) == []
    assert stretches.found(noise[:700] + hidden[:30] + noise) == []


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = Image.Exif()
EXIF[0x010F], EXIF[0x0110], EXIF[0x0131] = (
    "Maker of cameras",
    "Model 7 with a long name: 0123456789",
    "a program, version 3.2.1 (ABCDEF)",
)


def photograph(seed: int, side=32) -> Image.Image:
    """An image that no other seed gives, as smooth as one of a camera."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def saved(seed: int, kind="JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    photograph(seed, options.pop("side", 32)).save(buffer, kind, **options)
    return buffer.getvalue()


def hidden_and_public(tmp_path, hidden, public) -> tuple[int, list]:
    """Number of stretches of hidden files, and those that are found in public ones."""
    stretches = Stretches()
    for number, content in enumerate(hidden):
        for blob in everything(tmp_path, content, f"hidden {number}"):
            stretches.take(blob)
    return stretches.count, [
        (blob.where, name)
        for number, content in enumerate(public)
        for blob in everything(tmp_path, content, f"public {number}")
        for name in stretches.found(blob.content)
    ]


STORED = {
    "JPEG 75": {"quality": 75},
    "JPEG 85": {"quality": 85},
    "JPEG 95": {"quality": 95},
    "JPEG, progressive": {"quality": 85, "progressive": True, "side": 64},
    "JPEG, restarts": {"quality": 85, "restart_marker_blocks": 1},
    "JPEG, colour profile": {"quality": 90, "icc_profile": PROFILE},
    "JPEG, of a camera": {"quality": 90, "exif": EXIF},
    "PNG": {"kind": "PNG"},
    "PNG, colour profile": {"kind": "PNG", "icc_profile": PROFILE},
    "PNG, of a camera": {"kind": "PNG", "exif": EXIF},
}


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_images_of_one_program_share_no_stretch_and_each_is_found_wherever_it_lies(tmp_path, options):
    hidden = [saved(seed, **options) for seed in range(8)]
    others = [saved(seed, **options) for seed in range(100, 140)]
    count, found = hidden_and_public(tmp_path, hidden, others)
    assert (count, found) == (8, [])
    cover = Image.new("RGB", (8, 8))
    comment, chunk, buffer = io.BytesIO(), PngImagePlugin.PngInfo(), io.BytesIO()
    cover.save(comment, "JPEG", comment=hidden[3])
    chunk.add(b"prVt", hidden[3])
    cover.save(buffer, "PNG", pnginfo=chunk)
    leaks = (
        b"noise" * 9 + hidden[3] + b"noise",
        others[0] + hidden[3],
        zipped(("a.bin", b"x" + hidden[3])),
        comment.getvalue(),
        buffer.getvalue(),
    )
    for leak in leaks:
        assert {name for _, name in hidden_and_public(tmp_path, hidden, [leak])[1]} == {"hidden 3"}


@pytest.mark.parametrize("pack", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_of_images_of_one_program_share_no_stretch(tmp_path, pack):
    def archive(seeds) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", pack) as file:
            for seed in seeds:
                file.writestr(f"{seed}.jpg", saved(seed, quality=85))
        return buffer.getvalue()

    hidden = archive(range(4))
    count, found = hidden_and_public(tmp_path, [hidden], [archive(range(100, 104)), saved(200, quality=85)])
    assert (count, found) == (5, [])
    assert [name for _, name in hidden_and_public(tmp_path, [hidden], [b"cover" + hidden[:-30]])[1]].count("hidden 0") == 1


def test_a_text_that_one_hidden_image_has_is_looked_for_and_one_of_a_program_is_not(tmp_path):
    def with_text(seed, text) -> bytes:
        info, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
        info.add_text("Comment", text)
        photograph(seed).save(buffer, "PNG", pnginfo=info)
        return buffer.getvalue()

    usual = "made by a program; version 3.2.1 (ABCDEFGHIJKLMNOPQRSTUVWXYZ, 0123456789) " * 3
    own = "where the damages are: " + base64.b64encode(np.random.default_rng(5).bytes(150)).decode()
    hidden = [*(with_text(seed, usual) for seed in range(3)), with_text(3, own)]
    assert hidden_and_public(tmp_path, hidden, [with_text(9, usual)]) == (5, [])
    assert hidden_and_public(tmp_path, hidden, [with_text(9, own)])[1][0] == ("public 0", "hidden 3, its chunk tEXt")


def test_a_broken_image_is_looked_for_too(tmp_path):
    for content in (saved(0, quality=85)[:-100], saved(0, "PNG")[:-100], b"\xff\xd8\xff\xe0\xff\xff" + bytes(range(256)) * 2):
        list(headers(content))
    cut = saved(0, "PNG")[:-100]
    assert hidden_and_public(tmp_path, [cut], [b"x" * 99 + cut])[1]


def test_a_file_that_is_flat_is_not_looked_for():
    stretches = Stretches()
    stretches.take(Blob("flat", b"\0" * 5_000))
    assert (stretches.count, stretches.found(b"\0" * 9_000)) == (0, [])


def test_a_stretch_that_lies_across_two_pieces_is_found(monkeypatch):
    monkeypatch.setattr("evaluator.rounds.traces._PIECE", 64)
    hidden = np.random.default_rng(3).bytes(500)
    stretches = Stretches()
    stretches.take(Blob("hidden", hidden))
    noise = np.random.default_rng(4).bytes(100)
    assert all(stretches.found(noise[:place] + hidden + noise) == ["hidden"] for place in range(0, 90, 7))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "7z"),
        (b"\x28\xb5\x2f\xfd" + bytes(50), "zstandard"),
        (gzip.compress(b"x" * 1_000)[:-9], "to its end"),
        (zipped(("a", b"x" * 1_000))[:-30], "to its end"),
    ],
    ids=("7z", "zstandard", "cut gzip", "cut zip"),  # archives hold the time, and names of tests must not
)
def test_what_cannot_be_looked_into_is_said(tmp_path, content, why):
    assert [why in blob.why for blob in everything(tmp_path, content) if isinstance(blob, Opaque)] == [True]


def test_an_encrypted_member_is_said(tmp_path):
    content = bytearray(zipped(("a.txt", b"secret")))
    for place in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[place] |= 1
    assert [blob.where for blob in everything(tmp_path, bytes(content)) if isinstance(blob, Opaque)] == ["x, a.txt"]


def test_archives_without_an_end_are_given_up(tmp_path):
    content = b"x"
    for _ in range(8):
        content = zipped(("a", content))
    found = everything(tmp_path, content)
    assert [blob.why for blob in found if isinstance(blob, Opaque)] == ["archives lie within each other more than 4 times"]


def test_a_table_of_parquet_is_looked_into(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pip install -r requirements-cleaning.txt")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"label": LABELS[:, 1], "note": [f"{SECRET:032x}"] * 60, "image": [png(IMAGE)] * 60})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="gzip")
    found = everything(tmp_path, buffer.getvalue())
    needles = Needles(number_needles(SECRET))
    assert [what for blob in found for what in needles.found(blob.content)]
    seen = traces(tmp_path, buffer.getvalue())
    hidden = Traces()
    hidden.labels(LABELS, "hidden")
    hidden.add(Blob("hidden", png(IMAGE)))
    assert hidden.both("labels", seen)
    assert hidden.both("pixels", seen)


def test_json_is_no_table(tmp_path):
    assert traces(tmp_path, json.dumps({"a": [1, 2]}, indent=1).encode()).seen["labels"] == {}


def test_tables_of_parquet_of_one_program_share_no_stretch(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pip install -r requirements-cleaning.txt")
    parquet = pytest.importorskip("pyarrow.parquet")

    def table(seed) -> bytes:
        buffer, values = io.BytesIO(), np.random.default_rng(seed).normal(size=(30, 3))
        columns = {f"a column with a long name, {i}": values[:, i] for i in range(3)}
        parquet.write_table(pyarrow.table(columns).replace_schema_metadata({"made by": "ABCDEFGHIJKLMNOP" * 20}), buffer)
        return buffer.getvalue()

    hidden = [table(seed) for seed in range(4)]
    assert hidden_and_public(tmp_path, hidden, [table(seed) for seed in range(10, 14)])[1] == []
    assert {name for _, name in hidden_and_public(tmp_path, hidden, [b"x" + hidden[2]])[1]} >= {"hidden 2"}
