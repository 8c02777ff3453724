"""Roman numerals: read from an archive and from a folder, judged by their pixels, and drawn without leaks."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluator.cleaning.game import play
from evaluator.cleaning.numerals import CLASSES, SIDE, cut_to_ink, gradients, read_numerals
from evaluator.cleaning.rules import profile_named
from evaluator.cleaning.sets import CleaningSets
from evaluator.errors import ConfigurationError, DataError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "roman-numerals"


def picture(number: int, level: int = 9) -> bytes:
    """A PNG that differs from those of other numbers; ``level`` changes its bytes and not its pixels."""
    pixels = np.random.default_rng(number).integers(0, 255, (20, 12 + number % 3), np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG", compress_level=level)
        return file.getvalue()


def collection() -> dict[str, bytes]:
    """120 images, a third of them in val: 3 relabelled, 4 removed, 2 twice, 1 of the label book, 1 with two classes."""
    files = {}
    for number in range(120):
        split, given = "val" if number % 3 == 0 else "train", CLASSES[number % 10]
        files[f"raw/{split}/{given}/{number:03d}.png"] = picture(number)
        clean = CLASSES[(number + 1) % 10] if number < 3 else given
        if not 3 <= number < 7:
            files[f"hand_cleaned/{split}/{clean}/{number:03d}.png"] = picture(number, 1)
    files["raw/val/x/copy-19.png"] = picture(19, 3)
    files["raw/train/viii/copy-17.png"] = picture(17, 3)
    files["label_book/i/first.png"] = picture(20, 2)
    files["hand_cleaned/train/v/other-30.png"] = picture(30, 2)
    return files | {"README.md": b"hello", "hand_deleted/3.png": picture(3), "raw/train/xi/1.png": b"no numeral of ours"}


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def packed(tmp_path):
    return archive(tmp_path / "roman-numerals.tar.gz", collection())


def test_an_archive_and_a_folder_of_the_same_files_are_read_alike(packed, tmp_path):
    found = read_numerals(packed)
    assert found.raw == {"kept": 115, "relabelled": 3, "removed": 4}, "of raw images whose pixels lie in hand_cleaned"
    assert (found.copies, found.book, found.unclear) == (2, 1, 1)
    assert len(found.names) == len(set(found.names)) == len(found.rows) == 118
    for name, content in collection().items():
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    again = read_numerals(tmp_path / "unpacked")
    assert again.digest == found.digest
    assert np.array_equal(again.rows, found.rows)
    assert again.names == found.names
    assert read_numerals(tmp_path).digest == found.digest, "a folder with the archive"
    assert {path.name for path in tmp_path.iterdir()} == {packed.name, "unpacked"}, "nothing is unpacked"


def test_what_an_expert_says_follows_from_the_pixels(packed):
    found = read_numerals(packed)
    by_number = {int(name.rsplit("/", 1)[1].removesuffix(".png")[-3:]): row for row, name in enumerate(found.names)}
    for number in range(7):
        row = by_number[number]
        assert bool(found.removed[row]) == (number >= 3)
        assert found.given[row] == number % 10
        assert found.true[row] == ((number + 1) % 10 if number < 3 else number % 10)
    wrong = (found.given != found.true) | found.removed
    assert wrong.sum() == 7


def test_a_numeral_has_one_row_wherever_it_stands_and_its_strokes_have_a_direction():
    """A vertical stroke changes grey values from left to right: its gradients lie in the first and the last bin of directions."""
    rows = []
    for top, left in ((3, 5), (40, 60)):
        image = np.full((90, 100), 255, np.uint8)
        image[top : top + 40, left : left + 4] = 0
        rows.append(gradients(cut_to_ink(image)[None])[0])
    assert np.array_equal(*rows)
    by_direction = np.square(rows[0]).reshape(-1, 8).sum(axis=0)
    assert by_direction[[0, 7]].sum() > 0.9 * by_direction.sum()
    assert cut_to_ink(np.full((20, 30), 255, np.uint8)).shape == (SIDE, SIDE)


def test_no_image_is_in_two_parts_and_seeds_draw_others(packed):
    found = read_numerals(packed)
    first, again, other = (found.drawn(5, seed, 60, 20, 30) for seed in (0, 0, 1))
    assert first.digest() == again.digest() != other.digest()
    rows = [tuple(row) for part in (first.train, first.validation, first.test) for row in part.rows.round(5).tolist()]
    assert len(set(rows)) == len(rows) == 110
    assert first.wrong.sum() > 0
    with pytest.raises(ConfigurationError, match="118 different images"):
        found.drawn(5, 0, 60, 20, 60)


def test_checking_a_row_that_shows_no_numeral_takes_it_out_whatever_the_action(packed):
    task = read_numerals(packed).drawn(5, 0, 100, 5, 5)
    order = np.argsort(~task.wrong, kind="stable")
    fixed, removed = (play(task, [order], action=action, points=2)[0] for action in ("fix", "remove"))
    assert fixed.accuracies[-1] == fixed.clean, "all wrong labels corrected and all other rows taken out is the clean set"
    assert len(fixed.hits) == task.wrong.sum() == len(removed.hits)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: {name: content for name, content in files.items() if "hand_cleaned" not in name}, "no hand_cleaned"),
        (lambda files: files | {"raw/val/x/bad.png": b"GIF89a"}, r"raw/val/x/bad\.png is no image"),
        (lambda files: files | {"raw/val/x/big.png": bytes((4 << 20) + 1)}, r"member 'raw/val/x/big\.png': more than"),
    ],
)
def test_what_is_missing_or_damaged_is_named(change, said, tmp_path):
    with pytest.raises((ConfigurationError, DataError), match=said):
        read_numerals(archive(tmp_path / "other.tar.gz", change(collection())))


def test_links_and_half_archives_are_refused(packed, tmp_path):
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(packed.read_bytes()[:2_000])
    with pytest.raises(DataError, match="damaged"):
        read_numerals(cut)
    linked = tmp_path / "linked.tar"
    with tarfile.open(linked, "w") as made:
        info = tarfile.TarInfo("raw/train/i/1.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(info)
    with pytest.raises(DataError, match="it is a link"):
        read_numerals(linked)
    with pytest.raises(ConfigurationError, match="there is no such folder or archive"):
        read_numerals(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="holds neither raw and hand_cleaned nor"):
        read_numerals(Path(__file__).parent)


def test_a_profile_without_its_data_says_what_it_reads(tmp_path):
    with pytest.raises(ConfigurationError, match=r"--data: the profile 'roman-numerals' reads a folder or an archive with raw"):
        CleaningSets.chosen(profile_named("roman-numerals"), 0, None, tmp_path)
    sets = CleaningSets.chosen(profile_named("roman-numerals"), 0, tmp_path, tmp_path)
    assert sets.names() == ("roman-numerals",)
    with pytest.raises(ConfigurationError, match="no task 'digits'; expected roman-numerals"):
        sets.task("digits", 0)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
@pytest.mark.endurance
def test_the_real_images_have_the_known_numbers():
    found = read_numerals(SHARED)
    assert found.raw == {"kept": 2_547, "relabelled": 106, "removed": 227}
    assert (found.copies, found.book, found.unclear) == (49, 3, 0)
    assert len(found.names) == 2_880 - 49 - 3
    assert int((found.given != found.true).sum()) <= 106
