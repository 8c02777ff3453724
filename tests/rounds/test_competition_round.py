"""A round from its making to its end, on a few small images: every kind of leak is planted and found, states change in order."""

import csv
import datetime
import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from evaluator.cleaning.track import CLEANING
from evaluator.cli.main import main
from evaluator.curation import embedded
from evaluator.curation.track import CURATION
from evaluator.errors import ConfigurationError, DataError
from evaluator.files import hold
from evaluator.judging.jobs import Quota
from evaluator.judging.place import Place
from evaluator.purchase.track import PURCHASE
from evaluator.rounds import manifest, told
from evaluator.rounds.check import check
from evaluator.rounds.draws import data_seed, hidden_tasks, part_secret
from evaluator.rounds.make import new_round
from evaluator.rounds.making import Order
from evaluator.rounds.states import alone, close_round, open_round, require_may_open
from evaluator.rounds.terms import Expected, Folder, Terms, read_terms, set_keys, terms_text
from evaluator.secret import Secret, read_secret
from tests.documents.commands import commands, fault
from tests.documents.markdown import Block

START = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)
END = START + datetime.timedelta(days=14)
PROFILE_OF_COLOURS = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SECRET = Secret(0x0123456789ABCDEFFEDCBA9876543210)
PROFILE = """name = "tiny-round"
like = "debug"
sizes = { training = 8, unlabelled = 24, validation = 10, debug = 2 }
image_size = 32
pipeline = "milliseconds"
"""


RULES = """name = "rules"
classes = ["scratch_small", "scratch_large", "dent_small", "dent_large"]
pairs = ["621:17"]
label_interval = [500, 2000]
minute_interval = [15, 60]
"""


def terms(track="purchase", profile="x", **more) -> Terms:
    given = {"opens": START, "closes": END, "sandbox": "process", "quota": Quota(a_day=4), "expected": Expected(participants=3)}
    return Terms(name="Labels", track=track, profile=profile, made=START, **given | more)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Folder:
    """A round of the purchase track."""
    home = tmp_path_factory.mktemp("made")
    (home / "tiny.toml").write_text(PROFILE)
    file = str(home / "tiny.toml")
    new_round(Order(terms(profile=file), file, hidden=3, seeds=2), home / "round", SECRET)
    return Folder(home / "round")


@pytest.fixture
def copy(made, tmp_path) -> Folder:
    """A copy of it that a test may change."""
    shutil.copytree(made.root, tmp_path / "round", symlinks=True)
    return Folder(tmp_path / "round")


def found(folder: Folder, track=PURCHASE) -> dict[str, tuple[str, ...]]:
    """What a check found, by row."""
    return {row.name: row.found for row in check(folder, track).rows if row.found}


def hidden_image(folder: Folder) -> Path:
    return sorted((folder.keep / "private/data/unlabelled/images").iterdir())[3]


def pair(folder: Folder) -> str:
    return json.loads((folder.keep / "hidden.json").read_text())["tasks"][0]


def png_with(text: str) -> bytes:
    buffer, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("Comment", text, zip=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


# -- new


def test_a_new_round_is_whole_and_nothing_hidden_is_found(made):
    checked = check(made, PURCHASE)
    assert {row.name: row.found for row in checked.rows if row.state == "found"} == {}
    compared = {row.name: row.compared for row in checked.rows}
    # 44 images, four tables of labels, dataset.json, hidden.json, three secrets, and the judge's three files.
    assert compared["files"].startswith("56 hidden files against ")
    assert compared["images"] == "44 hidden images, decoded against 44 public"
    assert compared["hidden tasks"].startswith("3 names")
    assert checked.plans["private"].cells[0].secret == part_secret(SECRET, "private").fingerprint


def test_everything_hidden_follows_from_the_secret(made, tmp_path):
    seeds = {data_seed(SECRET, "pool"), part_secret(SECRET, "public").number, part_secret(SECRET, "private").number, SECRET.number}
    assert len(seeds) == 4
    again = tmp_path / "again"
    file = str(tmp_path / "tiny.toml")
    Path(file).write_text(PROFILE)
    made_again = new_round(Order(terms(profile=file), file, hidden=3, seeds=2), again, SECRET)
    assert unknown_commands(made_again.practise) == []
    same = ("keep/private/data/unlabelled/labels.csv", "keep/hidden.json", "keep/private.secret", "keep/judge/private.toml")
    assert all((again / name).read_bytes() == (made.root / name).read_bytes() for name in same)
    assert hidden_image(Folder(again)).read_bytes() == hidden_image(made).read_bytes()
    other = tmp_path / "other"
    new_round(Order(terms(profile=file), file, hidden=3, seeds=2), other)
    assert pair(Folder(other)) != pair(made)
    assert hidden_image(Folder(other)).read_bytes() != hidden_image(made).read_bytes()


def test_what_stays_is_readable_by_nobody_else(made):
    assert stat.S_IMODE(made.keep.stat().st_mode) == 0o700
    for name in ("round.secret", "public.secret", "private.secret", "hidden.json"):
        assert stat.S_IMODE((made.keep / name).stat().st_mode) == 0o600
    assert read_secret(made.keep / "round.secret") == SECRET
    place = Place.of(made.judge)
    assert [path.resolve() for path in (place.inbox, place.outbox)] == [made.root / "inbox", made.root / "outbox"]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o055 == 0o055 for path in (made.root, *made.exchange))


def test_a_folder_that_exists_is_refused(made, tmp_path):
    with pytest.raises(ConfigurationError, match="exists; expected a new folder"):
        new_round(Order(terms(), "debug"), made.root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="exists; expected a new folder"):
        new_round(Order(terms(), "debug"), tmp_path / "empty")


@pytest.mark.parametrize("at", [1, 20, 40])
def test_an_interrupted_new_leaves_nothing(tmp_path, at):
    (tmp_path / "tiny.toml").write_text(PROFILE)
    calls = 0

    def step(what, done, total):
        nonlocal calls
        calls += 1
        if done >= at or calls > at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        new_round(Order(terms(), str(tmp_path / "tiny.toml")), tmp_path / "round", SECRET, step)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--track", "audit"], "it has verbs and no submissions"),
        (["--track", "nonsense"], "there is no such track"),
        (["--tasks", "digits-uniform-0.3"], "cleaning alone has this option"),
        (["--track", "cleaning", "--pairs", "public"], "purchase alone has this option"),
        (["--track", "cleaning", "--profile", "roman-numerals"], "drawn from the same images"),
        (["--track", "curation", "--profile", "roman"], "reads a folder"),
        (["--track", "curation", "--hidden", "2"], "two hidden test sets"),
        (["--pairs", "hidden:3"], "say how many with --hidden"),
        (["--hidden", "0"], "--hidden is 0"),
        (["--data", "data"], "without --private-data"),
        (["--opens", "tomorrow"], "a time with a time zone"),
        (["--opens", "2026-12-02T00:00:00Z", "--closes", "2026-12-01T00:00:00Z"], "closes is 2026-12-01"),
        (["--closes", "2020-01-01T00:00:00Z"], "--closes is 2020-01-01T00:00:00Z, which has passed"),
        (["--a-day", "0"], "--a-day is 0"),
        (["--nodes", "0"], "--nodes is 0"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--sandbox", "none"], "sandbox is 'none'"),
        (["--profile", "debugg"], "did you mean 'debug'"),
    ],
)
def test_a_slip_is_said_before_anything_is_made(tmp_path, capsys, options, said):
    assert main(["round", "new", "Labels", "--folder", str(tmp_path / "round"), *options]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_profile_that_names_other_files_is_refused(tmp_path):
    (tmp_path / "tiny.toml").write_text(PROFILE)
    (tmp_path / "rules.toml").write_text(RULES)
    other = tmp_path / "other.toml"
    for text, key in (('like = "tiny.toml"', "like"), ('like = "debug"\nround = "rules.toml"', "round")):
        other.write_text(f'name = "other"\n{text}\n')
        with pytest.raises(ConfigurationError) as caught:
            new_round(Order(terms(), str(other)), tmp_path / "round", SECRET)
        assert f"{other}: its key {key} names the file" in str(caught.value)
        assert "expected one file that is whole alone" in str(caught.value)
        assert ".tmp" not in str(caught.value)
        assert not (tmp_path / "round").exists()
    (tmp_path / "whole.toml").write_text(f'name = "whole"\nlike = "debug"\n[round]\n{RULES}')
    new_round(Order(terms(), str(tmp_path / "whole.toml")), tmp_path / "round", SECRET)
    assert found(Folder(tmp_path / "round")) == {}


def test_a_message_names_no_hidden_folder(tmp_path, monkeypatch):
    (tmp_path / "tiny.toml").write_text(PROFILE)

    def broken(folder, spec, **options):
        raise DataError(f"{folder} cannot be written; make room")

    monkeypatch.setattr("evaluator.rounds.purchase.make_dataset", broken)
    with pytest.raises(DataError) as caught:
        new_round(Order(terms(), str(tmp_path / "tiny.toml")), tmp_path / "round", SECRET)
    assert str(caught.value) == f"{tmp_path / 'round' / 'publish' / 'data'} cannot be written; make room"


def test_data_of_ones_own_are_copied_without_what_lies_beside_them(made, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(made.publish / "data", own)
    (own / "training" / "notes.txt").write_text("labels by Ada")
    file = made.publish / "profile.toml"
    order = Order(terms(), str(file), data=own, private_data=made.keep / "private/data")
    new_round(order, tmp_path / "round", SECRET)
    folder = Folder(tmp_path / "round")
    assert found(folder) == {}
    assert not list(folder.publish.rglob("notes.txt"))
    assert "on images that are not published." in (folder.publish / "README.md").read_text()
    assert "production line" not in (folder.publish / "README.md").read_text()
    assert "of another production line" in (made.publish / "README.md").read_text()
    with pytest.raises(ConfigurationError, match="expected other data"):
        Order(terms(), str(file), data=own, private_data=own)


@pytest.mark.parametrize("of_own", [False, True])
def test_the_command_that_participants_are_told_validates_for_this_round(made, tmp_path, monkeypatch, capsys, of_own):
    """A sound submission of the round is fit by the README's own command, also where the round has other classes."""
    folder = made
    if of_own:
        for name in ("own", "hidden"):
            shutil.copytree((made.publish if name == "own" else made.keep / "private") / "data", tmp_path / name)
            for table in (tmp_path / name).rglob("labels.csv"):
                rows = [row[:4] for row in csv.reader(table.read_text().splitlines())]
                table.write_text("".join(",".join(row) + "\n" for row in [["FileName", "oak", "ash", "yew"], *rows[1:]]))
        rules = '[round]\nname = "thirds"\nclasses = ["oak", "ash", "yew"]\npairs = ["5:1"]\nlabel_interval = [2, 9]\n'
        rules += "minute_interval = [1, 5]\n"
        (tmp_path / "tiny.toml").write_text('name = "thirds-tiny"\nimage_size = 32\npipeline = "milliseconds"\n' + rules)
        file = str(tmp_path / "tiny.toml")
        order = Order(terms(profile=file), file, hidden=1, data=tmp_path / "own", private_data=tmp_path / "hidden")
        new_round(order, tmp_path / "round", SECRET)
        folder = Folder(tmp_path / "round")
    readme = (folder.publish / "README.md").read_text()
    (command,) = [line for line in readme.splitlines() if line.startswith("python -m evaluator validate")]
    classes = 3 if of_own else 6
    (tmp_path / "mine.py").write_text(
        "from run import ZEWDPCBaseRun\n\n\nclass Mine(ZEWDPCBaseRun):\n    def purchase_phase(self, unlabelled_dataset, budget):\n"
        "        unlabelled_dataset.purchase_labels(range(budget))\n\n    def prediction_phase(self, test_dataset):\n"
        f"        return [[1.0] * {classes}] * len(test_dataset)\n"
    )
    monkeypatch.chdir(folder.publish)
    words = command.replace("MY_SUBMISSION", str(tmp_path / "mine.py")).split()[3:]
    assert main([*words, "--sandbox", "process"]) == 0
    assert f"with the {classes} classes" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("suffix", "options"), [(".jpg", {"quality": 85}), (".png", {"icc_profile": PROFILE_OF_COLOURS})])
def test_images_of_ones_own_that_one_program_saved_hold_nothing_of_each_other(made, tmp_path, suffix, options):
    def saved_anew(data: Path, name: str) -> Path:
        shutil.copytree(data, tmp_path / name)
        for file in sorted((tmp_path / name).glob("*/images/*")):
            Image.open(file).save(tmp_path / "image.tmp", "JPEG" if suffix == ".jpg" else "PNG", **options)
            file.unlink()
            (tmp_path / "image.tmp").rename(file.with_suffix(suffix))
        for table in (tmp_path / name).glob("*/labels.csv"):
            table.write_text(table.read_text().replace(".png", suffix))
        (tmp_path / name / "dataset.json").unlink(missing_ok=True)
        return tmp_path / name

    own, hidden = saved_anew(made.publish / "data", "own"), saved_anew(made.keep / "private/data", "hidden")
    file = made.publish / "profile.toml"
    new_round(Order(terms(), str(file), data=own, private_data=hidden), tmp_path / "round", SECRET)
    folder = Folder(tmp_path / "round")
    assert found(folder) == {}
    (folder.publish / "blob.bin").write_bytes(b"noise" * 30 + hidden_image(folder).read_bytes())
    assert list(found(folder)) == ["parts of files"]


# -- leaks


def plant_file(folder):
    shutil.copy(hidden_image(folder), folder.publish / "data" / "logo.png")


def plant_pixels_in_zip(folder):
    buffer = io.BytesIO()
    Image.open(hidden_image(folder)).save(buffer, "PNG", compress_level=1, optimize=True)
    with zipfile.ZipFile(folder.publish / "extra.zip", "w") as archive:
        archive.writestr("pictures/1.png", buffer.getvalue())


def plant_pixels_in_array(folder):
    np.savez_compressed(folder.publish / "sample.npz", images=np.stack([np.asarray(Image.open(hidden_image(folder)))] * 2))


def plant_behind_an_image(folder):
    public = sorted((folder.publish / "data/training/images").iterdir())[0]
    (folder.publish / "cover.png").write_bytes(public.read_bytes() + hidden_image(folder).read_bytes())


def plant_in_unknown_bytes(folder):
    (folder.publish / "blob.bin").write_bytes(b"\1\0\2" * 33 + hidden_image(folder).read_bytes() + b"end")


def hidden_labels(folder):
    with open(folder.keep / "private/data/unlabelled/labels.csv", newline="") as file:
        return [row[1:] for row in list(csv.reader(file))[1:]]


def plant_labels_under_other_names(folder):
    rows = [[f"x{i}", *row] for i, row in enumerate(hidden_labels(folder))]
    (folder.publish / "table.csv").write_text("\n".join(";".join(row) for row in [["id", "a", "b", "c", "d", "e", "f"], *rows]))


def plant_labels_as_array(folder):
    np.save(folder.publish / "y.npy", np.array(hidden_labels(folder), np.int8))


def plant_secret(folder):
    with open(folder.publish / "README.md", "a") as file:
        file.write(f"\nseed {part_secret(SECRET, 'private').number:032x}\n")


def plant_secret_in_an_images_text(folder):
    (folder.publish / "icon.png").write_bytes(png_with(f"root {part_secret(SECRET, 'private').root(2022)}"))


def plant_data_seed(folder):
    (folder.publish / "log.txt.gz").write_bytes(gzip.compress(f"--seed {data_seed(SECRET, 'pool')}".encode()))


def plant_secret_file(folder):
    shutil.copy(folder.keep / "public.secret", folder.publish / "public.secret")


def plant_pair(folder):
    labels, minutes = pair(folder).split(":")
    (folder.publish / "faq.md").write_text(f"A pair may have {labels} labels and {minutes} minutes.")


def plant_pair_in_a_name(folder):
    (folder.publish / f"{pair(folder).replace(':', 'x')}.txt").write_text("nothing to see")


def plant_private_part(folder):
    shutil.copy(folder.judge / "private.toml", folder.publish / "more.toml")


def plant_link(folder):
    (folder.publish / "keys").symlink_to(folder.keep)


def plant_second_name(folder):
    os.link(folder.keep / "private/data/debug/labels.csv", folder.publish / "few.csv")


def plant_locked_archive(folder):
    (folder.publish / "all.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(99))


def plant_rights(folder):
    (folder.keep / "private.secret").chmod(0o644)


def plant_rights_of_the_folder(folder):
    folder.keep.chmod(0o755)


def plant_other_secret(folder):
    (folder.keep / "private.secret").write_bytes((folder.keep / "public.secret").read_bytes())


def plant_public_secret(folder):
    with open(folder.publish / "public.toml", "a") as file:
        file.write('secret = "../keep/public.secret"\n')


def plant_changed_label(folder):
    table = folder.publish / "data/training/labels.csv"
    table.write_text(table.read_text().replace(",0", ",1", 1))


def plant_other_quota(folder):
    text = (folder.root / "round.toml").read_text()
    (folder.root / "round.toml").write_text(text.replace("a-day = 4", "a-day = 9"))


def plant_other_quota_there(folder):
    plant_other_quota(folder)
    text = (folder.judge / "judge.toml").read_text()
    (folder.judge / "judge.toml").write_text(text.replace("a-day = 4", "a-day = 9"))


def plant_other_deadline(folder):
    set_keys(folder.judge / "judge.toml", {"deadline": "2027-01-01T00:00:00Z"})


def plant_misspelt_option(folder):
    with open(folder.judge / "private.toml", "a") as file:
        file.write("seads = 3\n")


def plant_no_private_data(folder):
    shutil.rmtree(folder.keep / "private/data/unlabelled")


def plant_rehearsal(folder):
    (folder.judge / "packages").mkdir(exist_ok=True)
    (folder.judge / "packages" / "a.zip").write_bytes(b"x")


@pytest.mark.parametrize(
    ("plant", "row", "said"),
    [
        (plant_file, "files images", "data/logo.png is equal to keep/private"),
        (plant_pixels_in_zip, "images", "extra.zip, pictures/1.png"),
        (plant_pixels_in_array, "images", "sample.npz, images.npy, image 0"),
        (plant_behind_an_image, "files", "cover.png, behind its end"),
        (plant_in_unknown_bytes, "parts of files", "blob.bin holds a part of keep/private"),
        (plant_labels_under_other_names, "labels", "table.csv is equal to keep/private/data/unlabelled/labels.csv"),
        (plant_labels_as_array, "labels", "y.npy"),
        (plant_secret, "secrets and seeds", "README.md holds the secret of the private part in hexadecimal digits"),
        (plant_secret_in_an_images_text, "secrets and seeds", "icon.png, its text in chunk zTXt"),
        (plant_data_seed, "secrets and seeds", "log.txt.gz, unpacked holds the seed of the pool data"),
        (plant_secret_file, "files", "public.secret"),
        (plant_pair, "hidden tasks", "faq.md holds the hidden task"),
        (plant_pair_in_a_name, "hidden tasks", "the name of publish/"),
        (plant_private_part, "secrets and seeds", "more.toml holds the seed of the hidden tasks"),
        (plant_link, "files that go out", "keys is no regular file"),
        (plant_second_name, "files that go out", "under another name"),
        (plant_locked_archive, "looked into", "all.7z: a 7z archive"),
        (plant_rights, "rights", "chmod 600"),
        (plant_rights_of_the_folder, "rights", "chmod 700"),
        (plant_other_secret, "secrets", "does not follow"),
        (plant_public_secret, "participant's use", "secret stands there"),
        (plant_changed_label, "participant's use", "training has the digest"),
        (plant_other_quota, "judge's rules", "quota.a-day = 4, round.toml 9"),
        (plant_other_quota_there, "what is told", "At most 9 submissions"),
        (plant_other_deadline, "judge's rules", "deadline"),
        (plant_misspelt_option, "private part", "did you mean 'seeds'"),
        (plant_no_private_data, "private part", "unlabelled does not exist"),
        (plant_rehearsal, "judge's folder", "1 package of a rehearsal"),
    ],
    ids=lambda value: value.__name__.removeprefix("plant_") if callable(value) else "",
)
def test_what_must_not_be_is_found(copy, plant, row, said):
    plant(copy)
    rows = found(copy)
    for name in (row,) if row != "files images" else row.split():
        assert any(said in line for line in rows.get(name, ())), rows


def test_a_check_ends_with_1_and_says_what_it_compared(copy, capsys):
    assert main(["round", "check", str(copy.root)]) == 0
    plant_file(copy)
    assert main(["round", "check", str(copy.root)]) == 1
    shown = capsys.readouterr().out
    assert "publish/data/logo.png is equal to keep/private/data/unlabelled/images/" in " ".join(shown.split())
    assert main(["round", "check", str(copy.root), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["name"]: row["state"] for row in rows}["images"] == "found"


def test_a_check_counts_every_finding_and_lists_some(copy, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for number in range(9):
        (copy.publish / f"{number}.txt").write_text(f"{part_secret(SECRET, 'private').number:032x}")
    assert main(["round", "check", str(copy.root), "--json"]) == 1
    row = next(row for row in json.loads(capsys.readouterr().out)["rows"] if row["name"] == "secrets and seeds")
    assert (row["count"], len(row["found"])) == (9, 5)
    assert main(["round", "check", str(copy.root)]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "found: 9" in shown
    assert "secrets and seeds: and 4 more" in shown


# -- states


def test_a_round_opens_and_closes_in_order_and_each_once(copy):
    with pytest.raises(ConfigurationError, match="state is new; expected open"):
        close_round(copy, END)
    with pytest.raises(ConfigurationError, match="opens is 2026-12-01T12:00:00Z, and it is 2026-12-01T11"):
        require_may_open(copy, START - datetime.timedelta(minutes=1))
    with pytest.raises(ConfigurationError, match="which has passed"):
        require_may_open(copy, END)
    checked = check(copy, PURCHASE)
    count = open_round(copy, checked, START)
    opened = copy.terms()
    assert (opened.state, opened.opened, opened.expected) == ("open", START, checked.terms.expected)
    assert subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=copy.publish).returncode == 0
    before = (copy.root / "round.toml").read_bytes()
    assert open_round(copy, check(copy, PURCHASE), START + datetime.timedelta(days=1)) == count
    assert (copy.root / "round.toml").read_bytes() == before
    with pytest.raises(ConfigurationError, match="wait, or close it before its time with --early"):
        close_round(copy, END - datetime.timedelta(seconds=1))
    later = END + datetime.timedelta(hours=1)
    assert not close_round(copy, later).before
    assert Place.of(copy.judge).rules.deadline == END.timestamp(), "what came until then was taken by right"
    assert (copy.terms().state, copy.terms().closed) == ("closed", later)
    again = close_round(copy, later + datetime.timedelta(days=1))
    assert (again.before, again.at) == (True, later)
    with pytest.raises(ConfigurationError, match="state is closed since"):
        require_may_open(copy, later)


def test_closing_early_ends_the_taking_of_packages_then(copy):
    open_round(copy, check(copy, PURCHASE), START)
    early = START + datetime.timedelta(days=2)
    close_round(copy, early, early=True)
    rules = Place.of(copy.judge).rules
    assert (rules.deadline, rules.quota.a_day, rules.name) == (early.timestamp(), 4, "Labels")
    assert found(copy) == {}


def test_a_round_with_a_leak_does_not_open(copy):
    plant_pair(copy)
    before = (copy.root / "round.toml").read_bytes()
    with pytest.raises(ConfigurationError, match="the check found faults in hidden tasks"):
        open_round(copy, check(copy, PURCHASE), START)
    assert (copy.root / "round.toml").read_bytes() == before
    assert not (copy.publish / "SHA256SUMS").exists()


def test_what_changes_after_the_opening_is_found(copy):
    open_round(copy, check(copy, PURCHASE), START)
    assert found(copy) == {}
    (copy.publish / "README.md").write_text((copy.publish / "README.md").read_text() + "more\n")
    (copy.publish / "news.md").write_text("new\n")
    (copy.publish / "aicrowd.json").unlink()
    said = " ".join(found(copy)["published files"])
    assert [word in said for word in ("README.md was changed", "news.md was not there", "aicrowd.json is missing")] == [True] * 3
    (copy.publish / "SHA256SUMS").unlink()
    assert manifest.differences(copy.publish)[0] == ["publish/SHA256SUMS is missing. Run `round open` again"]


def test_an_opening_that_was_killed_before_its_end_is_done_again(copy, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("evaluator.rounds.states.set_keys", killed)
        with pytest.raises(KeyboardInterrupt):
            open_round(copy, check(copy, PURCHASE), START)
    assert copy.terms().state == "new"
    open_round(copy, check(copy, PURCHASE), START)
    assert (copy.terms().state, found(copy)) == ("open", {})


def test_the_lock_of_a_round_lies_where_nobody_else_may_enter(copy, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluator.files.TOLD_AFTER", 0)
    monkeypatch.setattr("evaluator.files.time.sleep", interrupted)
    reader = hold(copy.root, shared=True)
    try:
        with alone(copy), pytest.raises(KeyboardInterrupt), alone(copy):
            pytest.fail("it is locked")
    finally:
        os.close(reader)
    assert f"waiting: {copy.keep} is locked by" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match=r"round\.toml"), alone(Folder(copy.publish)):
        pass
    shutil.rmtree(copy.keep)
    with pytest.raises(ConfigurationError, match="keep: there is no such folder"), alone(copy):
        pass


def test_the_verbs_show_a_forecast_and_what_comes_next(copy, capsys):
    now = datetime.datetime.now(datetime.UTC)
    stay = {"opens": "2026-01-01T00:00:00Z", "closes": f"{now.year + 5}-01-01T00:00:00Z"}
    for file in ("round.toml", "keep/judge/judge.toml", "publish/README.md"):
        text = (copy.root / file).read_text()
        text = text.replace("2026-12-01T12:00:00Z", stay["opens"]).replace("2026-12-15T12:00:00Z", stay["closes"])
        (copy.root / file).write_text(text)
    assert main(["round", "forecast", str(copy.root)]) == 0
    shown = capsys.readouterr().out
    assert "3 participants" in shown
    assert "at least" in shown
    assert main(["round", "forecast", str(copy.root), "--measured", str(copy.root)]) == 2
    assert main(["round", "open", str(copy.root)]) == 0
    assert "judge run" in capsys.readouterr().out
    assert main(["round", "close", str(copy.root)]) == 2
    assert main(["round", "close", str(copy.root), "--early"]) == 0
    shown = capsys.readouterr().out
    assert [word in shown for word in ("choose", "finish", "board", "--private")] == [True] * 4


def test_commands_that_are_printed_can_be_pasted(copy, capsys):
    place = copy.root.parent / "runde ä"
    copy.root.rename(place)
    for file in ("round.toml", "keep/judge/judge.toml", "publish/README.md"):
        text = (place / file).read_text()
        (place / file).write_text(text.replace("2026-12-01T12:00:00Z", "2026-01-01T00:00:00Z").replace("2026-12-15", "2099-12-15"))
    assert main(["round", "close", str(place), "--early"]) == 2
    assert f"round open '{place}'`" in capsys.readouterr().err
    assert main(["round", "open", str(place)]) == 0
    assert f"judge run '{place}/keep/judge'\n" in capsys.readouterr().out
    assert main(["round", "close", str(place), "--early"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("python")]
    assert len(lines) == 5
    assert all(f"'{place}/keep/judge'" in line for line in lines)


# -- round.toml


def test_terms_are_written_and_read(tmp_path):
    written = terms(profile="debug", opened=START, state="open")
    (tmp_path / "round.toml").write_text(terms_text(written))
    assert read_terms(tmp_path / "round.toml") == written
    open_ended = terms(opens=None, closes=None, answers=True)
    (tmp_path / "round.toml").write_text(terms_text(open_ended))
    assert read_terms(tmp_path / "round.toml") == open_ended


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('state = "new"', 'state = "opne"'), "state is 'opne'"),
        (("a-day = 4", "a-day = 0"), "a-day is 0"),
        (("nodes = 1", "nods = 1"), "did you mean 'nodes'"),
        (("closes = 2026-12-15T12:00:00Z", 'closes = "soon"'), "closes is no time with a time zone"),
        (('track = "purchase"', ""), "it has no key track"),
    ],
)
def test_a_slip_in_the_terms_is_named(tmp_path, change, said):
    text = terms_text(terms())
    assert change[0] in text
    (tmp_path / "round.toml").write_text(text.replace(*change, 1))
    with pytest.raises(ConfigurationError, match=said):
        read_terms(tmp_path / "round.toml")


def test_keys_are_changed_and_comments_stay(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text('# hello\nname = "x"  # mine\n\n[quota]\nname = 3\n')
    set_keys(file, {"name": '"y"', "deadline": "2026-12-01T00:00:00Z"})
    assert file.read_text() == '# hello\nname = "y"  # mine\ndeadline = 2026-12-01T00:00:00Z\n\n[quota]\nname = 3\n'
    file.write_text('name = """\nname = 1\n"""\n')
    with pytest.raises(ConfigurationError, match="could not be changed"):
        set_keys(file, {"name": '"y"'})
    assert file.read_text() == 'name = """\nname = 1\n"""\n'


# -- other tracks


def test_scores_of_a_single_seed_are_warned_of(tmp_path):
    new_round(Order(terms("cleaning", "debug"), "debug", hidden=1, seeds=1), tmp_path / "round", SECRET)
    checked = check(Folder(tmp_path / "round"), CLEANING)
    (row,) = [row for row in checked.rows if row.name == "repetitions"]
    assert (row.state, row.compared) == ("warning", "1 seed in the public part, 1 seed in the private part")
    assert [line.partition(" part: ")[0] for line in row.found] == ["public", "private"]
    assert checked.good


def test_a_round_of_cleaning_has_hidden_tasks_and_says_that_digits_are_known(tmp_path):
    order = Order(terms("cleaning", "debug"), "debug", hidden=2, seeds=2)
    made = new_round(order, tmp_path / "round", SECRET)
    folder = Folder(tmp_path / "round")
    assert len(set(made.hidden) - set(made.public["tasks"])) == 2
    assert unknown_commands(made.practise) == []
    assert "python -m evaluator validate MY_SUBMISSION --track cleaning --file public.toml" in made.practise
    checked = check(folder, CLEANING)
    assert [row.name for row in checked.rows if row.state == "found"] == []
    (row,) = [row for row in checked.rows if row.state == "warning"]
    assert "scikit-learn" in row.found[0]
    task = checked.plans["private"].data["test"].task(made.hidden[0], 1)
    np.savez(folder.publish / "y.npz", labels=task.true)
    (folder.publish / "names.txt").write_text(f"tasks: {made.hidden[0]}, {made.hidden[1]}")
    rows = found(folder, CLEANING)
    assert any("y.npz, labels.npy is equal to private part" in line for line in rows["labels"])
    assert len(rows["hidden tasks"]) == 2


def unknown_commands(practise) -> list[str]:
    """Commands that participants are told and that the kit does not have, with the reason."""
    text = "".join(f"{line.replace('MY_SUBMISSION', 'my_submission')}\n" for line in practise)
    found = [(command.text, fault(command)) for command in commands(Block("README.md", 0, "bash", text, {}))]
    assert len(found) == len(practise)
    return [f"{text}: {why}" for text, why in found if why]


def test_hidden_tasks_are_like_public_ones_and_new():
    names = hidden_tasks(SECRET, ("digits-4v9-uniform-0.2", "painted-annotator-0.08"), 40)
    assert len(set(names)) == 40
    assert all(name.startswith(("digits-", "painted-annotator-0.")) for name in names)
    assert hidden_tasks(SECRET, ("digits-4v9-uniform-0.2", "painted-annotator-0.08"), 10) == names[:10]
    from evaluator.cleaning.sets import parsed

    assert all(parsed(name).name == name for name in names)


def test_a_round_of_curation_has_two_hidden_test_sets(tmp_path, monkeypatch):
    sizes = dict(embedded.SIZES) | {"debug": {"train": 90, "val": 10, "label_book": 10, "test": 12}}
    monkeypatch.setattr(embedded, "SIZES", sizes)
    made = new_round(Order(terms("curation", "debug"), "debug", seeds=1), tmp_path / "round", SECRET)
    assert unknown_commands(made.practise) == []
    assert "python -m evaluator validate MY_SUBMISSION --track curation --profile debug --data data" in made.practise
    folder = Folder(tmp_path / "round")
    checked = check(folder, CURATION)
    assert {row.name: row.found for row in checked.rows if row.state == "found"} == {}
    tests = {part: plan.data["test"].load().test for part, plan in checked.plans.items()}
    assert tests["public"].digest() != tests["private"].digest()
    assert checked.plans["public"].data["test"].load().given.digest() == checked.plans["private"].data["test"].load().given.digest()
    assert sorted(path.name for path in (folder.publish / "data").iterdir()) == ["label_book", "train", "val"]
    private = next(iter(sorted((folder.keep / "private" / "test").rglob("*.png"))))
    public = next(iter(sorted((folder.publish / "data" / "train").rglob("*.png"))))
    Image.open(private).convert("RGB").save(public)
    rows = found(folder, CURATION)
    assert "images" in rows
    assert any("train has the digest" in line for line in rows["participant's use"])


def test_a_test_set_of_ones_own_is_halved_within_its_classes(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("data/train", 2), ("data/val", 1), ("data/label_book", 1), ("hidden/test", 5)):
        for name in ("i", "ii"):
            place = tmp_path / part / name
            place.mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
                image.save(place / f"{number}.png", pnginfo=None)
    order = Order(terms("curation", "roman"), "roman", data=tmp_path / "data", private_data=tmp_path / "hidden", seeds=2)
    new_round(order, tmp_path / "round", SECRET)
    folder = Folder(tmp_path / "round")
    counts = {part: len(list((folder.keep / part / "test" / "ii").iterdir())) for part in ("public", "private")}
    assert counts == {"public": 2, "private": 3}
    assert found(folder, CURATION) == {}


@pytest.mark.endurance
def test_from_a_new_round_to_a_board_with_the_private_part(tmp_path, capsys):
    from evaluator.submission.package import write_package

    (tmp_path / "tiny.toml").write_text(PROFILE)
    root = tmp_path / "round"
    new = ["round", "new", "Labels", "--folder", str(root), "--profile", str(tmp_path / "tiny.toml"), "--seeds", "2"]
    assert main([*new, "--hidden", "1", "--sandbox", "process"]) == 0
    assert main(["round", "open", str(root)]) == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "run.py").write_text(
        "from run import ZEWDPCBaseRun\n\n\nclass Mine(ZEWDPCBaseRun):\n    def purchase_phase(self, unlabelled_dataset, budget):\n"
        "        unlabelled_dataset.purchase_labels(range(min(budget, len(unlabelled_dataset))))\n"
    )
    judge = root / "keep" / "judge"
    (root / "inbox" / "foxes").mkdir()
    write_package(mine, "purchase", root / "inbox" / "foxes" / "mine.zip")
    os.utime(root / "inbox" / "foxes" / "mine.zip", (1, 1))
    assert main(["judge", "run", str(judge), "--once"]) == 0
    assert main(["round", "forecast", str(root), "--measured", str(judge / "results" / "public")]) == 0
    assert main(["round", "close", str(root), "--early"]) == 0
    assert main(["judge", "choose", str(judge), "foxes", "1"]) == 0
    assert main(["judge", "finish", str(judge)]) == 0
    assert main(["judge", "run", str(judge), "--once"]) == 0
    assert main(["judge", "board", str(judge), "--private"]) == 0
    capsys.readouterr()
    assert "foxes" in (judge / "site" / "index.html").read_text()
    told = [json.loads(path.read_text()) for path in (root / "outbox" / "foxes").glob("*.json")]
    assert sorted(part["kind"] for part in told) == ["private", "public", "receipt"]
    hidden = json.loads((root / "keep" / "hidden.json").read_text())["tasks"][0]
    assert hidden not in json.dumps(told)
    assert main(["round", "check", str(root)]) == 0


def test_a_round_that_takes_answers_says_so_to_participants_and_to_the_judge(tmp_path):
    from evaluator.rounds.make import judge_text

    said = {}
    for answers in (False, True):
        (tmp_path / "judge.toml").write_text(judge_text(terms(track="curation", answers=answers)))
        for part in ("public", "private"):
            (tmp_path / f"{part}.toml").write_text("")
        assert Place.of(tmp_path).rules.answers is answers
        said[answers] = told._handed_in(terms(track="curation", answers=answers))
    assert said[False] == "You hand in code that is run. Answers in files (a table of edits with its images) are refused."
    assert said[True] == "You hand in code that is run, or a table of edits with its images."
