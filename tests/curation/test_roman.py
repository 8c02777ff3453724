"""The images of 2021, where they are present: what leaks in them, and that a copy with leaks is refused."""

import tarfile
from pathlib import Path

import pytest

from evaluator.curation.judge import changes_of, checked
from evaluator.curation.rules import PROFILES
from evaluator.curation.sets import sets_of
from evaluator.curation.submitted import apply_edits, longest_side, read_submitted
from evaluator.data.edits import EditTable
from evaluator.errors import DataError
from evaluator.sandbox.foreign import ForeignFiles
from evaluator.sandbox.process import ProcessSandbox

ARCHIVE = Path(__file__).resolve().parents[3] / "shared" / "data" / "roman-numerals" / "roman-numerals.tar.gz"


@pytest.mark.endurance
@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"{ARCHIVE} is absent: the images of 2021 are not a part of the kit")
def test_the_data_of_2021_as_given_and_as_one_participant_cleaned_them(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    book = tmp_path / "label_book"
    data = sets_of(PROFILES["roman"], 0, tmp_path / "raw", book, book).load()
    assert (len(data.train), len(data.validation), len(data.book)) == (2_067, 813, 52)
    assert len(data.left_out) == 3
    assert all(name.startswith("val/") for name in data.left_out)
    assert data.calibration.distance == 32
    assert data.calibration.unrelated[8] == 0
    ready = checked(apply_edits(EditTable(()), data), data, PROFILES["roman"])
    (row,) = [row for row in ready.near if row.between == "train, val"]
    assert (row.equal, ready.changes.left_out) == (49, 3)
    with ForeignFiles(ProcessSandbox, longest_side(data, 1_024)) as foreign:
        assert changes_of(read_submitted(tmp_path / "raw", data, foreign).rows, data).kept == 2_877, "an image is 1,260 pixels wide"
        cleaned = read_submitted(tmp_path / "hand_cleaned", data, foreign)
    found = changes_of(cleaned.rows, data)
    assert 2_500 < found.kept < 2_600
    assert 90 < found.relabelled < 120
    with pytest.raises(DataError, match="with the same pixels as an image of the hidden test set"):
        checked(cleaned, data, PROFILES["roman"])
