"""Painted sheets with annotators' mistakes: drawn by seed, kept in the cache, and a task that the whole house takes."""

import numpy as np
import pytest

from evaluator.cleaning import painted
from evaluator.cleaning.folder import read_task
from evaluator.cleaning.offline import Folders, write_tasks
from evaluator.cleaning.painted import Painted, painted_digest
from evaluator.cleaning.rules import CleaningProfile
from evaluator.cleaning.sets import CleaningSets, parsed
from evaluator.errors import ConfigurationError

NAME = "painted-annotator-0.08"


@pytest.fixture
def cheap(monkeypatch):
    """Embeddings that cost nothing: the labels that are seen, and noise."""

    def made(digest, count, gather, cache):
        rng = np.random.default_rng(int(digest[:8], 16))
        return rng.normal(size=(count, 9)).astype(np.float32)

    monkeypatch.setattr(painted, "embeddings", made)


def test_frozen_features_are_computed_once_and_tell_damages_apart(tmp_path, monkeypatch):
    task = Painted.parse(NAME).drawn(5, 0, 40, 10, 10, tmp_path)
    assert (task.kind, task.classes) == ("multilabel", 6)
    assert task.train.rows.shape == (40, 40), "no more components than rows"
    assert task.train.rows.mean(axis=0) == pytest.approx(np.zeros(40), abs=1e-4)
    assert np.square(task.train.rows).mean() == pytest.approx(1)
    (index,) = (tmp_path / "cleaning").glob("*.json")
    before = index.stat().st_mtime_ns
    monkeypatch.setattr(painted.Generator, "sample", lambda *args: pytest.fail("an image was made again"))
    again = Painted.parse("painted-uniform-0.05").drawn(5, 0, 40, 10, 10, tmp_path)
    assert index.stat().st_mtime_ns == before
    assert np.array_equal(again.train.rows, task.train.rows), "tasks of a seed have the same sheets"
    assert np.array_equal(again.true, task.true)
    assert not np.array_equal(again.train.labels, task.train.labels)


def test_the_number_in_a_name_is_the_share_of_wrong_labels(cheap, tmp_path):
    for name in (NAME, "painted-uniform-0.05"):
        tasks = [Painted.parse(name).drawn(3, seed, 300, 10, 10, tmp_path) for seed in range(8)]
        shares = [np.mean(task.true != task.train.labels) for task in tasks]
        assert np.mean(shares) == pytest.approx(parsed(name).rate, abs=0.01)
        rows = [task.wrong.mean() for task in tasks]
        assert np.mean(rows) > 2 * np.mean(shares), "a row has six labels"


def test_an_annotator_misses_more_than_he_imagines(cheap, tmp_path):
    task = Painted.parse(NAME).drawn(3, 0, 2_000, 10, 10, tmp_path)
    differs = task.true != task.train.labels
    missed, imagined = differs[task.true == 1].mean(), differs[task.true == 0].mean()
    assert missed > 2 * imagined


def test_seeds_and_roots_draw_other_sheets(cheap, tmp_path):
    found = [Painted.parse(NAME).drawn(root, seed, 30, 10, 10, tmp_path) for root, seed in ((3, 0), (3, 0), (3, 1), (4, 0))]
    digests = [task.digest() for task in found]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert len(painted_digest()) == 64


def test_several_labels_a_row_go_through_the_tables_of_the_open_division(cheap, tmp_path):
    profile = CleaningProfile("small", (NAME,), train=30, validation=10, test=20)
    folders = Folders.below(tmp_path / "open")
    sets = CleaningSets(profile, 3, cache=tmp_path)
    write_tasks(sets, (), folders)
    assert read_task(NAME, folders.embeddings, folders.groundtruth).digest() == sets.task(NAME, 0).digest()


@pytest.mark.parametrize("name", ["painted", "painted-annotator-0.5", "painted-pairs-0.1", "painted-uniform-0.9", "sheets"])
def test_a_name_of_no_task_is_refused(name):
    with pytest.raises(ConfigurationError, match="task"):
        parsed(name)
