"""A split on disk: every accepted variant of labels.csv gives the same split, every mistake a message that can be acted on."""

import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.data import folders
from evaluator.data.folders import read_split
from evaluator.errors import DataError

CLASSES = ("scratch_small", "dent_large", "stray_particle")
LABELS = [[0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1]]
FILES = ["b.png", "a.PNG", "10.jpg", "9.jpeg"]


def make(folder: Path, table: str | bytes | None = None, files: list[str] = FILES) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(files):
        (folder / "images" / name).write_bytes(b"image %d" % number)
    if table is not None:
        (folder / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return folder


def table(header: str = "filename," + ",".join(CLASSES), **changed: str) -> str:
    """The plain table, with the rows of some files given by hand."""
    rows = [",".join([name, *map(str, row)]) for name, row in zip(FILES, LABELS, strict=True)]
    rows = [changed.get(f"row{number}", row) for number, row in enumerate(rows, start=2)]
    return "\n".join([header, *rows]) + "\n"


def refused(folder: Path, *words: str, **options) -> None:
    with pytest.raises(DataError) as caught:
        read_split(folder, CLASSES, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_plain_table(tmp_path):
    split = read_split(make(tmp_path / "training", table()), CLASSES)
    assert split.name == "training"
    assert split.files == ("10.jpg", "9.jpeg", "a.PNG", "b.png")
    assert split.labels.tolist() == [LABELS[2], LABELS[3], LABELS[1], LABELS[0]]
    assert split.labels.dtype == np.uint8
    assert split.note == "columns: filename + 3 classes"
    assert len(split) == 4
    assert split.path(3).read_bytes() == b"image 0"
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0, 0] = 1


# Every way of writing the same table, drawn independently of each other.
@st.composite
def variants(draw) -> bytes:
    order = draw(st.permutations(range(len(CLASSES))))
    delimiter = draw(st.sampled_from(",;\t"))
    ones, zeros = draw(
        st.sampled_from([("1", "0"), ("1.0", "0.0"), ("true", "false"), ("True", "False"), ("TRUE", "FALSE"), (" 1", "0 ")])
    )
    spelling = draw(
        st.sampled_from([str, str.upper, str.title, lambda name: name.replace("_", " "), lambda name: name.replace("_", "-")])
    )
    place = draw(st.sampled_from(["", "images/", "./images/", "training/images/", "images\\", "/home/x/images/"]))
    bare = draw(st.booleans())
    index = draw(st.sampled_from([None, "", "Unnamed: 0"]))
    first = draw(st.sampled_from(["filename", "image", "img", "file", "Image ID", "name"]))
    shape = draw(st.sampled_from(["columns", "json", "python", "space", "|"]))
    extra = draw(st.booleans())

    lines = []
    header = (
        [first, *(spelling(CLASSES[i]) for i in order)]
        if shape == "columns"
        else [first, draw(st.sampled_from(["labels", "Label", "damages"]))]
    )
    if extra and shape == "columns":
        header.insert(draw(st.integers(1, len(header))), "discoloration")
    lines.append(header if index is None else [index, *header])
    for number, (name, row) in enumerate(zip(FILES, LABELS, strict=True)):
        named = place + (os.path.splitext(name)[0] if bare else name)
        if shape == "columns":
            cells = [named, *(ones if row[i] else zeros for i in order)]
            if extra:
                cells.insert(header.index("discoloration"), ones)
        else:
            listed = [CLASSES[i] for i in order if row[i]] + (["discoloration"] if extra else [])
            cells = [
                named,
                {"json": json.dumps(listed), "python": str(listed)}.get(shape, (" " if shape == "space" else "|").join(listed)),
            ]
        lines.append(cells if index is None else [str(number), *cells])
    body = draw(st.permutations(lines[1:]))
    if draw(st.booleans()):
        body = [*body[:2], [""] * len(lines[0]), *body[2:]]
    text = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows([lines[0], *body])
    return text.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(raw=variants())
def test_every_variant_of_one_table_gives_the_same_split(tmp_path, raw):
    reference = read_split(make(tmp_path / "training", table()), CLASSES)
    split = read_split(make(tmp_path / "training", raw), CLASSES, besides=((*CLASSES, "discoloration"),))
    assert split.files == reference.files
    assert split.labels.tolist() == reference.labels.tolist()
    assert split.digest == reference.digest


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (table(), ["columns: filename + 3 classes"]),
        (table().replace(",", ";"), ["semicolon"]),
        ("\ufeff" + table(), ["byte-order mark"]),
        (table("image,SCRATCH_SMALL,dent_large,stray_particle"), ["columns: image", "another spelling"]),
        ("f,labels\n" + "\n".join(f"{name}," for name in FILES), ["one label-list column"]),
        (",".join(["", table().replace("\n", "\n0,")]).removesuffix("0,"), ["index column"]),
        (table().replace(".png", "").replace(".PNG", ""), ["without extension"]),
        (table().replace("\n", ",\n"), ["empty last column"]),
    ],
)
def test_the_note_says_which_variant_was_read(tmp_path, raw, words):
    note = read_split(make(tmp_path / "training", raw), CLASSES).note
    for word in words:
        assert word in note


def test_an_unnamed_first_column_before_class_columns_is_the_file_name(tmp_path):
    raw = table("," + ",".join(CLASSES))
    assert read_split(make(tmp_path / "a", raw), CLASSES).digest == read_split(make(tmp_path / "b", table()), CLASSES).digest


def test_classes_of_another_round_are_left_out_by_name_only(tmp_path):
    folder = make(tmp_path / "training", table())
    asked = CLASSES[:2]
    split = read_split(folder, asked, besides=(CLASSES,))
    assert split.labels.tolist() == [row[:2] for row in read_split(folder, CLASSES).labels.tolist()]
    assert "stray_particle" in split.note
    with pytest.raises(DataError, match="stray_particle"):
        read_split(folder, asked)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.lists(st.sampled_from(["filename", *CLASSES, *FILES, "labels", "0", "1", "", '"', "[", "\0", "é"]), max_size=5),
            max_size=6,
        ).map(lambda rows: "\n".join(",".join(row) for row in rows).encode()),
    )
)
def test_any_table_is_read_or_refused_with_its_name(tmp_path, raw):
    folder = make(tmp_path / "training", raw)
    refusal = None
    try:
        read_split(folder, CLASSES)
    except DataError as error:
        refusal = str(error)
    assert refusal is None or "labels.csv" in refusal


BAD_ROWS = [
    ("b.png,2,1,0", ["row 2", "'2'", "scratch_small", "expected 0 or 1"]),
    ("b.png,,1,0", ["row 2", "empty", "scratch_small"]),
    ("b.png,0,nan,0", ["row 2", "'nan'", "dent_large"]),
    ("b.png,0,1,0.5", ["row 2", "'0.5'", "stray_particle"]),
    ("b.png,0,1,-1", ["row 2", "'-1'"]),
    ("b.png,0,1,yes", ["row 2", "'yes'"]),
    ("b.png,0,1,inf", ["row 2", "'inf'"]),
    ("b.png,0,1", ["row 2", "3 cells", "4"]),
    ("b.png,0,1,0,1", ["row 2", "5 cells", "4"]),
    ("c.png,0,1,0", ["row 2", "'c.png'", "no image"]),
    ("a.PNG,0,1,0", ["row 3", "'a.PNG'", "already", "row 2"]),
    ("a,0,1,0", ["row 3", "'a.PNG'", "already", "row 2"]),
    ("../b.png,0,1,0", ["row 2", "'../b.png'", "outside images/"]),
    ("/etc/b.png,0,1,0", ["row 2", "outside images/"]),
    (",0,1,0", ["row 2", "''", "is not a file name"]),
    ('"b.png,0,1,0', ["row 2", "not CSV"]),
    ("b.png,\0,1,0", ["row 2", "zero byte"]),
]


@pytest.mark.parametrize(("row", "words"), BAD_ROWS)
def test_a_bad_row_is_named(tmp_path, row, words):
    refused(make(tmp_path / "training", table(row2=row)), "labels.csv", *words)


BAD_HEADERS = [
    ("filename,scratch_small,dent_large,blister", ["row 1", "'blister'", "scratch_small, dent_large, stray_particle"]),
    ("filename,scratch_small,dent_large,stray_partcle", ["row 1", "'stray_partcle'", "did you mean 'stray_particle'"]),
    ("filename,scratch_small,dent_large,Dent_Large", ["row 1", "'dent_large'", "two columns"]),
    ("scratch_small,dent_large,stray_particle,filename", ["row 1", "first column", "'scratch_small'"]),
    ("x.png,1,0,1", ["row 1", "header", "'x.png'"]),
    ("filename,scratch_small,dent_large,", ["row 3", "without a header"]),
]


@pytest.mark.parametrize(("header", "words"), BAD_HEADERS)
def test_a_bad_header_is_named(tmp_path, header, words):
    changed = {"row2": "b.png,0,1,"} if header.endswith(",") else {}
    refused(make(tmp_path / "training", table(header, **changed)), "labels.csv", *words)


def test_a_missing_class_column_is_named(tmp_path):
    refused(make(tmp_path / "t", "filename,scratch_small\nb.png,1\n"), "labels.csv", "row 1", "'dent_large'", "seen: scratch_small")
    refused(make(tmp_path / "t", "filename\nb.png\n"), "row 1", "'scratch_small'")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("scratch", ["row 2", "unknown class 'scratch'"]),
        ("scratch_smal", ["row 2", "did you mean 'scratch_small'"]),
        ("nan", ["row 2", "'nan'"]),
        ('"[0, 1, 0]"', ["row 2", "is not a list of class names"]),
        ('"[""scratch_small"""', ["row 2", "is not a list of class names"]),
        ("[" * 3000, ["row 2", "is not a list of class names"]),
    ],
)
def test_a_bad_list_of_labels_is_named(tmp_path, cell, words):
    rows = "".join(f"{name},{cell if number == 0 else ''}\n" for number, name in enumerate(FILES))
    refused(make(tmp_path / "training", "filename,labels\n" + rows), "labels.csv", *words)


def test_an_image_without_a_row_is_named(tmp_path):
    folder = make(tmp_path / "training", table(), [*FILES, "extra.png"])
    refused(folder, "labels.csv", "'extra.png'", "1 of 5")


def test_a_name_without_extension_that_two_images_have_is_refused(tmp_path):
    raw = "filename," + ",".join(CLASSES) + "\na,0,0,0\na,0,0,0\n"
    refused(make(tmp_path / "training", raw, ["a.png", "a.jpg"]), "row 2", "'a'", "a.jpg or a.png")


@pytest.mark.parametrize(("stored", "written"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")])
@pytest.mark.parametrize("extension", [".jpg", ""])
def test_names_in_another_form_of_unicode_are_the_same_names(tmp_path, stored, written, extension):
    files = [unicodedata.normalize(stored, name) for name in ("größe.jpg", "über.jpg")]
    rows = [unicodedata.normalize(written, name) + extension for name in ("größe", "über")]
    raw = "filename," + ",".join(CLASSES) + f"\n{rows[0]},1,0,0\n{rows[1]},0,0,0\n"
    split = read_split(make(tmp_path / "training", raw, files), CLASSES)
    assert split.labels[split.files.index(files[0])].tolist() == [1, 0, 0]
    assert ("another form of Unicode" in split.note) == (stored != written)


def test_two_names_that_look_alike_are_two_names_and_a_third_is_refused(tmp_path):
    forms = [unicodedata.normalize(form, "ǖ.png") for form in ("NFC", "NFD")]
    raw = "filename," + ",".join(CLASSES) + f"\n{forms[0]},1,0,0\n{forms[1]},0,0,1\n"
    split = read_split(make(tmp_path / "training", raw, forms), CLASSES)
    assert [split.labels[split.files.index(form)].tolist() for form in forms] == [[1, 0, 0], [0, 0, 1]]
    third = raw.replace(forms[1], "\u00fc\u0304.png")
    refused(make(tmp_path / "training", third, forms), "row 3", "form of Unicode", "u\\u0308\\u0304.png")
    twice = make(tmp_path / "twice", raw, forms[:1])
    refused(twice, "row 3", "has a row already (row 2)")


def test_tables_that_are_no_tables_are_refused(tmp_path):
    folder = make(tmp_path / "training")
    refused(folder, "labels.csv", "does not exist")
    (folder / "train.csv").write_text("x")
    refused(folder, "train.csv")
    for raw, word in [
        (b"x" * 200_000, "row 1"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"filename,a\n", "no rows"),
        (table().encode("utf-16"), "not UTF-8"),
    ]:
        refused(make(folder, raw), "labels.csv", word)
    refused(make(folder, table().encode().replace(b"9.jpeg", b"\xe9.jpeg")), "row 5", "not UTF-8")


def test_folders_that_are_no_splits_are_refused(tmp_path):
    refused(tmp_path / "nothing", "nothing", "does not exist")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "not a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "images", "does not exist")
    (tmp_path / "empty" / "images").mkdir()
    refused(tmp_path / "empty", "holds no images")
    make(tmp_path / "empty", table(), ["notes.txt", ".hidden.png"])
    refused(tmp_path / "empty", "holds no images")


def test_files_that_are_no_images_are_named_or_left_out(tmp_path):
    folder = make(tmp_path / "training", table(), [*FILES, "Thumbs.db", "._b.png"])
    assert "2 other files" in read_split(folder, CLASSES).note
    (folder / "images" / "b.png").write_bytes(b"")
    refused(folder, "b.png", "0 bytes")
    (folder / "images" / "b.png").unlink()
    os.mkfifo(folder / "images" / "b.png")
    refused(folder, "b.png", "not a plain file")


def test_links_may_point_within_the_folder_and_not_out_of_it(tmp_path):
    folder = make(tmp_path / "training", table())
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"image 0")
    digest = read_split(folder, CLASSES).digest
    image = folder / "images" / "b.png"
    image.rename(folder / "kept.png")
    image.symlink_to("../kept.png")
    assert read_split(folder, CLASSES).digest == digest
    image.unlink()
    image.symlink_to(outside)
    refused(folder, "b.png", "link", "outside")
    image.unlink()
    image.symlink_to("nowhere.png")
    refused(folder, "b.png", "cannot be read")
    image.unlink()
    image.write_bytes(b"image 0")

    (folder / "labels.csv").rename(tmp_path / "labels.csv")
    (folder / "labels.csv").symlink_to(tmp_path / "labels.csv")
    refused(folder, "labels.csv", "link")
    (folder / "labels.csv").unlink()
    (tmp_path / "labels.csv").rename(folder / "labels.csv")
    (folder / "images").rename(tmp_path / "images")
    (folder / "images").symlink_to(tmp_path / "images")
    refused(folder, "images", "link")


def test_a_split_folder_that_is_itself_a_link_is_read(tmp_path):
    make(tmp_path / "training", table())
    (tmp_path / "link").symlink_to(tmp_path / "training")
    assert read_split(tmp_path / "link", CLASSES).name == "training"


def test_the_digest_covers_names_labels_classes_and_bytes(tmp_path):
    folder = make(tmp_path / "training", table())
    digests = {read_split(folder, CLASSES).digest, read_split(folder, CLASSES[::-1]).digest}
    digests.add(read_split(folder, CLASSES[:2], besides=(CLASSES,)).digest)
    make(folder, table(row2="b.png,1,1,0"))
    digests.add(read_split(folder, CLASSES).digest)
    make(folder, table())
    (folder / "images" / "b.png").write_bytes(b"image x")
    digests.add(read_split(folder, CLASSES).digest)
    (folder / "images" / "b.png").rename(folder / "images" / "c.png")
    make(folder, table(row2="c.png,0,1,0"), [])
    digests.add(read_split(folder, CLASSES).digest)
    assert len(digests) == 6


@pytest.fixture
def reads(monkeypatch):
    """The names of the files whose bytes were hashed."""
    seen = []
    real = folders.hashlib.file_digest

    def spy(file, name):
        seen.append(Path(file.name).name)
        return real(file, name)

    monkeypatch.setattr(folders.hashlib, "file_digest", spy)
    return seen


def test_a_second_reading_hashes_only_what_changed(tmp_path, reads):
    folder, memory = make(tmp_path / "training", table()), tmp_path / "cache" / "stat.json"
    first = read_split(folder, CLASSES, stat_cache=memory)
    assert sorted(reads) == sorted(FILES)
    reads.clear()
    assert read_split(folder, CLASSES, stat_cache=memory).digest == first.digest
    assert reads == []
    image = folder / "images" / "b.png"
    before = image.stat()
    image.write_bytes(b"image X")  # the same length, and the modification time put back
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_split(folder, CLASSES, stat_cache=memory).digest == read_split(folder, CLASSES).digest != first.digest


def test_a_memory_that_cannot_be_kept_is_done_without(tmp_path):
    folder = make(tmp_path / "training", table())
    (tmp_path / "file").write_text("")
    without = read_split(folder, CLASSES, stat_cache=tmp_path / "file" / "stat.json")
    assert without.digest == read_split(folder, CLASSES).digest


def test_splits_share_one_memory_and_a_damaged_one_is_written_anew(tmp_path, reads):
    memory = tmp_path / "stat.json"
    a, b = make(tmp_path / "a", table()), make(tmp_path / "b", table())
    (b / "images" / "b.png").write_bytes(b"image 7")
    first = [read_split(folder, CLASSES, stat_cache=memory).digest for folder in (a, b)]
    reads.clear()
    assert [read_split(folder, CLASSES, stat_cache=memory).digest for folder in (a, b)] == first
    assert reads == []
    for damage in (
        "",
        "{",
        "[]",
        '{"version": 1, "folders": 3}',
        '{"version": 1, "folders": {"%s": {"b.png": 7}}}' % (a / "images"),
    ):
        memory.write_text(damage)
        assert read_split(a, CLASSES, stat_cache=memory).digest == first[0]
    assert json.loads(memory.read_text())["folders"]
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []
