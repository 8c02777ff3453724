"""The secret of a folder of results: made once, kept whole, read strictly, and never shown."""

import os
import stat
import threading
from collections import Counter
from pathlib import Path

import pytest

import evaluator.files
from evaluator.errors import ConfigurationError
from evaluator.secret import FILE, Secret, cell_secret, folder_secret, read_secret, root_in_words, root_of
from evaluator.seeds import derive

KNOWN = Secret(0x00112233445566778899AABBCCDDEEFF)
GOOD = f"{KNOWN.number:032x}"


def nothing() -> Counter:
    """A folder of results without cells."""
    return Counter()


# -- what follows from it


def test_fingerprint_and_root_are_the_same_on_every_machine():
    """An organiser publishes a secret after the round; whoever repeats the figures needs the same root."""
    assert KNOWN.fingerprint == "d71fa1bec42014ac"
    assert f"{KNOWN.root(2022):032x}" == "e10f019f03d16d8f5b7191580abfbddd"


def test_the_root_depends_on_the_secret_and_on_the_root_seed():
    roots = {secret.root(seed) for secret in (KNOWN, Secret(KNOWN.number + 1)) for seed in (0, 1, 2022)}
    assert len(roots) == 6
    assert all(root < 2**128 for root in roots)
    assert KNOWN.number not in roots


def test_public_seeds_are_split_from_the_root_seed_itself():
    assert root_of(None, 2022, "") == 2022
    assert derive(root_of(None, 2022, ""), "621:17", 0, "pool order") == derive(2022, "621:17", 0, "pool order")


@pytest.mark.parametrize(("secret", "fingerprint"), [(None, KNOWN.fingerprint), (KNOWN, ""), (KNOWN, Secret(7).fingerprint)])
def test_a_cell_of_another_secret_gets_no_root(secret, fingerprint):
    with pytest.raises(ConfigurationError, match="--secret"):
        root_of(secret, 2022, fingerprint)


def test_the_number_is_not_shown():
    for shown in (repr(KNOWN), str(KNOWN), f"{KNOWN}", root_in_words(1, KNOWN.fingerprint)):
        assert GOOD not in shown.lower()
        assert str(KNOWN.number) not in shown


# -- the file


def test_it_is_made_once_for_its_owner_alone(tmp_path):
    folder = tmp_path / "results"
    made = folder_secret(folder, nothing)
    file = folder / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{made.number:032x} {made.fingerprint}\n"
    assert [path.name for path in folder.iterdir()] == [FILE], "and nothing beside it"
    assert folder_secret(folder, nothing) == read_secret(file) == made
    assert folder_secret(tmp_path / "other", nothing) != made


def test_a_dry_run_leaves_no_file(tmp_path):
    folder_secret(tmp_path / "results", nothing, keep=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "a file system without links"])
def test_evaluators_that_start_at_once_get_the_same(tmp_path, monkeypatch, links):
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(evaluator.files.os, "link", refused)
    for number in range(5):
        gate, found = threading.Barrier(8), []

        def start(folder=tmp_path / str(number), gate=gate, found=found) -> None:
            gate.wait()
            found.append(folder_secret(folder, nothing))

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == [FILE]


def test_a_missing_file_is_not_replaced_where_cells_of_a_secret_are_stored(tmp_path):
    with pytest.raises(ConfigurationError) as error:
        folder_secret(tmp_path, lambda: Counter({KNOWN.fingerprint: 12, "": 3, Secret(7).fingerprint: 1}))
    for part in (str(tmp_path / FILE), f"12 cells of secret {KNOWN.fingerprint}", "--secret", "--out"):
        assert part in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert folder_secret(tmp_path, lambda: Counter({"": 3})), "cells with public seeds do not need it"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match=r"secret.*cannot be (written|read)"):
        folder_secret(tmp_path / "results", nothing)


@pytest.mark.parametrize("text", [GOOD, f"{GOOD}\n", f"  {GOOD.upper()}\r\n", f"{GOOD} {KNOWN.fingerprint}\n"])
def test_what_an_organiser_writes_by_hand_is_read(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert read_secret(tmp_path / FILE) == KNOWN


TEXTS = {
    "empty": "",
    "only white space": " \n",
    "cut short": GOOD[:20],
    "too long": GOOD * 100,
    "a digit too many": GOOD + "0",
    "two lines": f"{GOOD}\n{GOOD}\n",
    "no digits": "correct horse battery staple, 32 ch",
    "a digit changed": f"{'f' + GOOD[1:]} {KNOWN.fingerprint}\n",
    "not random": "0" * 28 + "2022",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_damaged_file_is_an_error_and_stays(tmp_path, text):
    file = tmp_path / FILE
    file.write_text(text)
    for read in (lambda: read_secret(file), lambda: folder_secret(tmp_path, nothing)):
        with pytest.raises(ConfigurationError) as error:
            read()
        assert str(error.value).startswith(f"{file}: ")
        assert GOOD[:16] not in str(error.value), "a message is no place for a secret"
    assert file.read_text() == text


def _link(file: Path) -> None:
    file.with_name("elsewhere").write_text(GOOD)
    file.symlink_to(file.with_name("elsewhere"))


PLACES = {
    "a link": _link,
    "a link to nothing": lambda file: file.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda file: file.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
def test_what_is_no_regular_file_is_an_error_and_never_waited_for(tmp_path, make):
    file = tmp_path / FILE
    make(file)
    for read in (lambda: read_secret(file), lambda: folder_secret(tmp_path, nothing)):
        with pytest.raises(ConfigurationError, match=r"secret: it (is|cannot).*; expected a regular file"):
            read()
    assert os.path.lexists(file)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path):
    (tmp_path / FILE).write_text(GOOD)
    (tmp_path / FILE).chmod(0)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        folder_secret(tmp_path, nothing)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere: there is no file of a secret here.*--public-seeds"):
        read_secret(tmp_path / "nowhere")


# -- the secret of a stored cell


def test_the_secret_of_a_cell_is_found_beside_it_or_given(tmp_path):
    cell = tmp_path / "results" / "cells" / "abc.json"
    assert cell_secret(cell, "") is None
    with pytest.raises(ConfigurationError, match=f"secret {KNOWN.fingerprint}.*--secret"):
        cell_secret(cell, KNOWN.fingerprint)
    cell.parent.mkdir(parents=True)
    (tmp_path / "results" / FILE).write_text(GOOD)
    assert cell_secret(cell, KNOWN.fingerprint) == KNOWN
    assert cell_secret(cell.parent / "replaced" / cell.name, KNOWN.fingerprint) == KNOWN
    with pytest.raises(ConfigurationError, match=f"holds secret {KNOWN.fingerprint}"):
        cell_secret(cell, Secret(7).fingerprint)
    (tmp_path / "given").write_text(f"{2**127 + 12345678901234567890:032x}")
    other = read_secret(tmp_path / "given")
    assert cell_secret(cell, other.fingerprint, tmp_path / "given") == other
    with pytest.raises(ConfigurationError, match="given"):
        cell_secret(cell, KNOWN.fingerprint, tmp_path / "given")
