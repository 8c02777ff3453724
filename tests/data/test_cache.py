"""The image cache: what decoding gives, that it happens once, and that a damaged or half-written cache is never used."""

import io
import json
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluator import files
from evaluator.data import decoding
from evaluator.data.arrays import ArrayFile
from evaluator.data.cache import CachedImages, cache_images
from evaluator.data.decoding import decode
from evaluator.data.folders import read_split
from evaluator.errors import DataError

CLASSES = ("a", "b")


def picture(seed: int, side: int = 40) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def make(folder: Path, count: int = 12, side: int = 40) -> Path:
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        (folder / "images" / f"{number:04}.png").write_bytes(encoded(picture(number, side)))
    rows = "".join(f"{number:04}.png,{number % 2},1\n" for number in range(count))
    (folder / "labels.csv").write_text("filename,a,b\n" + rows)
    return folder


@pytest.fixture
def split(tmp_path):
    return read_split(make(tmp_path / "training"), CLASSES)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the images that were decoded in this process."""
    seen = []
    real = decoding.decode

    def spy(raw, name, size, resize=""):
        seen.append(name)
        return real(raw, name, size, resize)

    monkeypatch.setattr(decoding, "decode", spy)
    return seen


def direct(split, size: int) -> np.ndarray:
    images = [Image.open(split.path(i)).convert("RGB").resize((size, size), Image.Resampling.BICUBIC) for i in range(len(split))]
    return np.stack([np.asarray(image) for image in images])


# What the cache holds


@pytest.mark.parametrize("size", [16, 40, 64])
def test_the_cache_equals_direct_decoding(split, tmp_path, size):
    cached = cache_images(split, size, tmp_path / "cache")
    assert len(cached) == len(split)
    assert np.array_equal(cached.gather(range(len(split))), direct(split, size))
    assert np.array_equal(cached.open()[cached.rows], direct(split, size))


def test_rows_are_scattered_differently_every_time_and_gather_undoes_it(split, tmp_path):
    orders = []
    for number in range(3):
        cached = cache_images(split, 16, tmp_path / str(number))
        assert sorted(cached.rows) == list(range(len(split)))
        assert np.array_equal(cached.gather([3, 3, 0]), direct(split, 16)[[3, 3, 0]])
        orders.append(tuple(cached.rows))
    assert len({*orders, tuple(range(len(split)))}) == 4


def test_the_file_is_a_plain_read_only_array(split, tmp_path):
    cached = cache_images(split, 16, tmp_path / "cache")
    array = cached.open()
    assert isinstance(array, np.memmap)
    assert (array.shape, array.dtype, array.flags.c_contiguous) == ((12, 16, 16, 3), np.uint8, True)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        cached.rows[0] = 0
    assert cached.path.stat().st_mode & 0o777 == 0o444


def test_the_order_of_rows_is_the_owners_alone(split, tmp_path):
    cache_images(split, 16, tmp_path / "cache")
    [index] = (tmp_path / "cache").glob("*.rows.json")
    assert index.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("bad", [[-1], [12], [0, 99], [0.5], [True], [[0]], ["0"]])
def test_gather_refuses_what_is_no_index(split, tmp_path, bad):
    with pytest.raises(IndexError):
        cache_images(split, 16, tmp_path / "cache").gather(bad)


def test_gather_of_nothing(split, tmp_path):
    assert cache_images(split, 16, tmp_path / "cache").gather([]).shape == (0, 16, 16, 3)


# Decoding once


def test_a_second_call_does_not_decode(split, tmp_path, decoded):
    first = cache_images(split, 16, tmp_path / "cache")
    assert len(decoded) == len(split)
    again = cache_images(read_split(split.folder, CLASSES), 16, tmp_path / "cache", verify=True)
    assert len(decoded) == len(split)
    assert (again.path, again.rows.tolist()) == (first.path, first.rows.tolist())


def test_another_size_or_changed_images_are_another_cache(split, tmp_path, decoded):
    first = cache_images(split, 16, tmp_path / "cache")
    cache_images(split, 24, tmp_path / "cache")
    assert len(decoded) == 2 * len(split)
    split.path(0).write_bytes(encoded(picture(99)))
    changed = read_split(split.folder, CLASSES)
    cached = cache_images(changed, 16, tmp_path / "cache")
    assert np.array_equal(cached.gather([0])[0], direct(changed, 16)[0])
    assert np.array_equal(cache_images(split, 16, tmp_path / "cache").gather([1]), first.gather([1]))


def test_images_that_change_between_reading_and_decoding_are_refused(split, tmp_path):
    split.path(0).write_bytes(encoded(picture(99)))
    with pytest.raises(DataError, match="changed while they were read"):
        cache_images(split, 16, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_progress_reaches_the_end(split, tmp_path):
    calls = []
    cache_images(split, 16, tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (12, 12)


def test_many_images_are_decoded_by_several_processes_to_the_same_array(tmp_path):
    split = read_split(make(tmp_path / "training", 420, 8), CLASSES)
    calls = []
    cached = cache_images(split, 8, tmp_path / "cache", workers=2, progress=lambda done, total: calls.append(done))
    assert np.array_equal(cached.gather(range(420)), direct(split, 8))
    assert calls == sorted(calls)
    assert calls[-1] == 420
    split.path(400).write_bytes(b"nonsense")
    broken = read_split(split.folder, CLASSES)
    with pytest.raises(DataError, match=r"0400\.png"):
        cache_images(broken, 8, tmp_path / "cache", workers=2)


def test_splits_of_the_same_content_share_a_cache(split, tmp_path, decoded):
    first = cache_images(split, 16, tmp_path / "cache")
    copied = shutil.copytree(split.folder, tmp_path / "copy [2]")
    assert cache_images(read_split(copied, CLASSES), 16, tmp_path / "cache").path == first.path
    assert len(decoded) == len(split)


def test_rebuilding_one_cache_leaves_the_others_alone(split, tmp_path, monkeypatch):
    first = cache_images(split, 16, tmp_path / "cache")
    monkeypatch.setattr("evaluator.data.cache.VERSION", 11)
    second = cache_images(split, 16, tmp_path / "cache")
    assert second.path != first.path
    monkeypatch.undo()
    first.path.unlink()
    cache_images(split, 16, tmp_path / "cache")
    assert second.path.exists()


# Never a damaged one


def _index(cached: CachedImages) -> Path:
    [index] = cached.path.parent.glob("*.rows.json")
    return index


def _edit(cached: CachedImages, **changes) -> None:
    content = json.loads(_index(cached).read_text())
    _index(cached).write_text(json.dumps({**content, **changes}))


def _bytes(cached: CachedImages, change) -> None:
    raw = bytearray(cached.path.read_bytes())
    os.chmod(cached.path, 0o644)
    cached.path.write_bytes(change(raw))


DAMAGES = {
    "cut": lambda c: _bytes(c, lambda raw: raw[:-1]),
    "empty": lambda c: _bytes(c, lambda raw: b""),
    "longer": lambda c: _bytes(c, lambda raw: raw + b"x"),
    "header": lambda c: _bytes(c, lambda raw: raw.replace(b"(12, ", b"(21, ")),
    "missing": lambda c: c.path.unlink(),
    "rows cut": lambda c: _index(c).write_bytes(_index(c).read_bytes()[:-5]),
    "rows twice": lambda c: _edit(c, rows=[0] * 12),
    "rows too few": lambda c: _edit(c, rows=list(range(11))),
    "rows of another kind": lambda c: _edit(c, rows=[float(i) for i in range(12)]),
    "other digest": lambda c: _edit(c, digest="0" * 64),
    "other folder": lambda c: _edit(c, images="../" + c.path.name),
    "not a dict": lambda c: _index(c).write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_named_and_built_anew(split, tmp_path, capsys, damage):
    DAMAGES[damage](cache_images(split, 16, tmp_path / "cache"))
    again = cache_images(split, 16, tmp_path / "cache")
    assert np.array_equal(again.gather(range(12)), direct(split, 16))
    said = capsys.readouterr().err
    assert "damaged" in said
    assert str(tmp_path / "cache") in said
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    cache_images(split, 16, tmp_path / "cache", verify=True)
    assert not capsys.readouterr().err


def test_a_single_flipped_bit_is_found_by_the_full_check(split, tmp_path, capsys):
    cached = cache_images(split, 16, tmp_path / "cache")

    def flip(raw: bytearray) -> bytearray:
        raw[1000] ^= 4
        return raw

    _bytes(cached, flip)
    again = cache_images(split, 16, tmp_path / "cache", verify=True)
    assert "damaged" in capsys.readouterr().err
    assert np.array_equal(again.gather(range(12)), direct(split, 16))


def test_a_half_written_cache_is_never_visible(split, tmp_path):
    folder = tmp_path / "cache"

    def interrupt(done: int, total: int) -> None:
        assert not list(folder.glob("*.npy"))
        assert not list(folder.glob("*.rows.json"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_images(split, 16, folder, progress=interrupt)
    assert [p.suffix for p in folder.iterdir()] == [".lock"]


def test_a_killed_build_leaves_nothing_that_is_used_and_the_next_one_clears_it(split, tmp_path):
    code = """
        import os, signal, sys
        from pathlib import Path
        from evaluator.data.cache import cache_images
        from evaluator.data.folders import read_split
        split = read_split(Path(sys.argv[1]), ("a", "b"))
        cache_images(split, 16, Path(sys.argv[2]), progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
    """
    folder = tmp_path / "cache"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(split.folder), str(folder)], cwd=root, timeout=60)
    assert done.returncode == -9
    assert [p for p in folder.iterdir() if p.suffix == ".tmp"]
    cached = cache_images(split, 16, folder)
    assert np.array_equal(cached.gather(range(12)), direct(split, 16))
    assert not [p for p in folder.iterdir() if p.suffix == ".tmp"]


def _race(folder: Path, cache: Path, start, answers) -> None:
    split = read_split(folder, CLASSES)
    start.wait()
    cached = cache_images(split, 16, cache)
    answers.put((cached.path.name, cached.rows.tolist(), int(cached.gather(range(12)).astype(np.int64).sum())))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes by /proc")
def test_decoding_processes_end_with_an_evaluator_that_was_killed(tmp_path):
    code = """
        import os, signal, sys
        from pathlib import Path
        from evaluator.data.cache import cache_images
        from evaluator.data.folders import read_split
        if __name__ == "__main__":
            split = read_split(Path(sys.argv[1]), ("a", "b"))
            cache_images(split, 8, Path(sys.argv[2]), workers=2, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    """
    script = tmp_path / "build.py"
    script.write_text(textwrap.dedent(code))
    make(tmp_path / "training", 420, 8)
    root = Path(__file__).resolve().parents[2]
    mark = f"CACHE_TEST={tmp_path}"
    environment = {**os.environ, "CACHE_TEST": str(tmp_path), "PYTHONPATH": str(root)}
    command = [sys.executable, str(script), str(tmp_path / "training"), str(tmp_path / "cache")]
    assert subprocess.run(command, env=environment, timeout=60).returncode == -9

    def alive() -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked, or belongs to somebody else
        return found

    for _ in range(100):
        if not alive():
            break
        time.sleep(0.1)
    assert alive() == []


def test_evaluators_that_build_the_same_cache_at_once_agree(split, tmp_path):
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(3), context.Queue()
    racers = [context.Process(target=_race, args=(split.folder, tmp_path / "cache", start, answers)) for _ in range(3)]
    for racer in racers:
        racer.start()
    results = [answers.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(60)
    assert all(result == results[0] for result in results)
    assert results[0][2] == int(direct(split, 16).astype(np.int64).sum())
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1


def test_a_full_disk_is_an_error_and_leaves_nothing(split, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoding.os, "pwrite", full)
    with pytest.raises(DataError, match="No space"):
        cache_images(split, 16, tmp_path / "cache")
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.parametrize("size", [0, -1, 10_000])
def test_an_impossible_size_is_refused(split, tmp_path, size):
    with pytest.raises(ValueError, match=str(size)):
        cache_images(split, size, tmp_path / "cache")


# Images


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that claims side x side pixels."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")


WHOLE = encoded(picture(1))
BROKEN = {
    "nothing": (b"", "0 bytes"),
    "no image": (b"hello world", "no image"),
    "text called png": (b"\x89PNG\r\n\x1a\nhello", "no image"),
    "another format": (encoded(picture(1), "BMP"), "no image"),
    "no end mark": (WHOLE[:-12], "cut short"),
    "last byte": (WHOLE[:-1], "cut short"),
    "half": (WHOLE[: len(WHOLE) // 2], "cut short"),
    "header only": (WHOLE[:40], "PNG"),
    "middle gone": (WHOLE[: len(WHOLE) // 2] + WHOLE[-12:], "no image"),
    "half a JPEG": (encoded(picture(1), "JPEG")[:-300], "no image"),
    "wide": (encoded(picture(1).resize((40, 30))), "wrong size, 40 x 30"),
    "bomb": (bomb(60_000), "60000"),
    "large": (bomb(9_000), "9000 x 9000"),
    "missing rows": (bomb(4_000), "no image"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_named_and_leaves_no_cache(split, tmp_path, kind):
    raw, word = BROKEN[kind]
    path = split.path(5)
    path.write_bytes(raw)
    if raw:
        split = read_split(split.folder, CLASSES)
    with pytest.raises(DataError) as caught:
        cache_images(split, 16, tmp_path / "cache")
    assert str(path) in str(caught.value)
    assert word in str(caught.value)
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_bytes_are_changed_an_image_is_decoded_or_refused_with_its_name(data):
    raw = bytearray(data.draw(st.sampled_from([WHOLE, encoded(picture(2), "JPEG"), encoded(picture(2).quantize(9))])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(raw) // 2, len(raw)))
    refusal = None
    try:
        array, _ = decode(bytes(raw[:cut]), "the-name", 16)
    except DataError as error:
        refusal = str(error)
    if refusal is None:
        assert (array.shape, array.dtype) == ((16, 16, 3), np.uint8)
    else:
        assert "the-name" in refusal


def test_images_of_a_split_have_one_size(split, tmp_path):
    split.path(5).write_bytes(encoded(picture(5, 44)))
    with pytest.raises(DataError, match=r"0005\.png has the wrong size, 44 x 44 pixels.*0000\.png has 40 x 40"):
        cache_images(read_split(split.folder, CLASSES), 16, tmp_path / "cache")


def test_an_image_that_vanishes_is_named(split, tmp_path):
    split.path(5).unlink()
    with pytest.raises(DataError, match=r"0005\.png cannot be read"):
        cache_images(split, 16, tmp_path / "cache")


def test_every_pixel_format_becomes_rgb():
    rgb = picture(3)
    gray = rgb.convert("L")
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(np.full((40, 40), 7, np.uint8)))
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 256 + 99)
    palette = rgb.quantize(16)
    pairs = [
        (encoded(rgb), rgb),
        (encoded(gray), gray.convert("RGB")),
        (encoded(alpha), rgb),
        (encoded(gray.convert("LA")), gray.convert("RGB")),
        (encoded(deep), gray.convert("RGB")),
        (encoded(palette), palette.convert("RGB")),
        (encoded(palette, transparency=0), palette.convert("RGB")),
        (encoded(gray.point(lambda v: 255 * (v > 99)).convert("1")), gray.point(lambda v: 255 * (v > 99)).convert("RGB")),
    ]
    for raw, expected in pairs:
        array, stored = decode(raw, "x", 40)
        assert (array.shape, array.dtype, stored) == ((40, 40, 3), np.uint8, (40, 40))
        assert np.array_equal(array, np.asarray(expected))
    for mode in ("RGB", "L", "CMYK"):
        array, _ = decode(encoded(rgb.convert(mode), "JPEG", quality=98, subsampling=0), "x", 40)
        wanted = np.asarray(rgb.convert("L").convert("RGB") if mode == "L" else rgb).astype(int)
        assert np.abs(array.astype(int) - wanted).mean() < 3


def test_the_orientation_of_the_camera_is_applied():
    rgb = picture(3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    array, _ = decode(encoded(rgb, exif=exif), "x", 40)
    assert np.array_equal(array, np.asarray(rgb.transpose(Image.Transpose.ROTATE_270)))


def test_shrinking_does_not_alias():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the small image can show: it must turn gray, not into stripes of its own
    array, _ = decode(encoded(Image.fromarray(stripes)), "x", 24)
    assert array.std() < 5
    assert abs(array.mean() - 127.5) < 3


def test_a_lock_that_somebody_else_has_is_named_and_not_waited_for_in_silence(tmp_path, monkeypatch, capsys):
    """Whoever may read the folder of a cache can lock the file of its makers."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "TOLD_AFTER", 0)
    monkeypatch.setattr(files.time, "sleep", interrupted)
    (tmp_path / "k.lock").touch()
    reader = files.hold(tmp_path / "k.lock", shared=True)
    try:
        with pytest.raises(KeyboardInterrupt):
            ArrayFile(tmp_path, "k", ".json", "array", "cache").obtained(lambda: (None, ""), lambda: pytest.fail("it is locked"))
    finally:
        os.close(reader)
    assert f"waiting: {tmp_path / 'k.lock'} is locked by" in capsys.readouterr().err
