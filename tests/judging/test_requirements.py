"""What a submission asks for and a judge does not have is said in its receipt; what cannot work burns no quota."""

import json
import os
import time

import pytest

from evaluator.errors import ConfigurationError
from evaluator.judging.inbox import take_in
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.requirements import asked
from evaluator.submission.package import write_package

THERE = {"numpy": "2.3.1", "torch": "2.9.0", "scikit-learn": "1.8.0"}
RUN = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""


@pytest.fixture
def package(tmp_path):
    """An unpacked package with these files; what it asks for."""

    def made(**files: str):
        (tmp_path / "mine").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "mine" / name.replace("_", ".")).write_text(text)
        return asked(tmp_path, "mine", THERE.get)

    return made


def test_without_requirements_nothing_is_asked(package):
    assert package() == asked.__globals__["Asked"]()
    assert package(requirements_txt="numpy>=2\ntorch\n# a comment\n").notes == ()


def test_a_package_that_is_absent_is_refused_by_name_with_what_is_there(package):
    found = package(requirements_txt="numpy>=2\nxgboost>=2.0\nlightgbm\ntorch==2.9.0\n")
    assert "line 2: xgboost>=2.0 is asked for, and not installed" in found.refused
    assert "line 3: lightgbm" in found.refused
    assert "numpy 2.3.1, scikit-learn 1.8.0, torch 2.9.0" in found.refused
    assert found.notes == ()


def test_another_version_is_accepted_and_both_are_named(package):
    found = package(requirements_txt="numpy==1.26.4\n-e .\n")
    assert found.refused == ""
    assert "numpy==1.26.4 is asked for, and 2.3.1 is installed" in found.notes[0]
    assert "not checked" in found.notes[1]


def test_packages_of_the_system_are_a_note(package):
    found = package(apt_txt="libgomp1 # for lightgbm\n\nffmpeg\n")
    assert (found.refused, found.notes) == (
        "",
        ("apt.txt: libgomp1, ffmpeg: the judge installs no packages of the system; what it has is there",),
    )


def test_a_file_that_is_no_text_or_too_long_is_a_note(package, tmp_path):
    assert "not checked" in package(requirements_txt="x" * 100_000).notes[0]
    (tmp_path / "mine" / "requirements.txt").write_bytes(b"\xff\xfe")
    assert "not checked" in asked(tmp_path, "mine", THERE.get).notes[0]
    (tmp_path / "mine" / "requirements.txt").unlink()
    (tmp_path / "mine" / "requirements.txt").symlink_to("/etc/passwd")
    assert asked(tmp_path, "mine", THERE.get).notes == ()


@pytest.mark.parametrize("where", ["folder", "beside"])
def test_the_receipt_of_a_real_package(tmp_path, where):
    root = tmp_path / "judge"
    root.mkdir()
    (root / "judge.toml").write_text('name = "x"\nsandbox = "process"\n[resources]\ndisk = 0\n[quota]\na-day = 1\n')
    (root / "public.toml").write_text("")
    place = Place.of(root)
    queue = Queue(place.queue, place.rules.quota)
    source = tmp_path / "mine"
    source.mkdir()
    (source / "run.py").write_text(RUN)
    (source / "requirements.txt").write_text("surely-not-installed-anywhere==1\nnumpy==0.0.1\n")
    (place.inbox / "foxes").mkdir()
    target = place.inbox / "foxes" / "mine.zip"
    write_package(source if where == "folder" else source / "run.py", "purchase", target)
    os.utime(target, (1, 1))
    (taken,) = take_in(place, queue, time.time)
    assert "surely-not-installed-anywhere==1 is asked for, and not installed" in taken.refused
    (receipt,) = [json.loads(path.read_text()) for path in (place.outbox / "foxes").iterdir()]
    assert not receipt["accepted"]
    assert any("numpy==0.0.1 is asked for" in line for line in receipt["findings"])
    assert queue.used("foxes", time.time()) == 0
    queue.close()


def test_a_misspelt_rule_is_named(tmp_path):
    (tmp_path / "judge.toml").write_text('name = "x"\nrequirements = "images"\n')
    with pytest.raises(ConfigurationError, match="line 2: requirements is 'images'; did you mean 'image'"):
        Place.of(tmp_path)
