"""Data that a track holds in memory, so that its files may go before a submission runs."""

import shutil

import numpy as np
import pytest
from PIL import Image

from evaluator.cleaning.rules import profile_named
from evaluator.cleaning.sets import MOST_HELD, CleaningSets
from evaluator.curation.rules import profile_named as curation_profile
from evaluator.curation.sets import CurationSets
from evaluator.curation.track import CURATION
from evaluator.errors import ConfigurationError


def test_images_of_a_folder_are_there_when_the_folder_is_gone(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val", "label_book", "test"):
        for name in ("i", "v"):
            place = tmp_path / "set" / split / name
            place.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / "0.png")
    folder = tmp_path / "set"
    sets = CurationSets(curation_profile("quick"), 1, folder, folder / "label_book", folder / "test")
    CURATION.hold(sets, ())
    shutil.rmtree(folder)
    assert len(sets.load().test) == 2


def test_tasks_are_held_and_too_many_are_refused(monkeypatch):
    read = []
    monkeypatch.setattr(CleaningSets, "task", lambda self, name, seed: read.append((name, seed)))
    sets = CleaningSets(profile_named("digits"), 1)
    sets.hold([("digits-300", 1), ("digits-300", 0), ("digits-300", 1)])
    assert read == [("digits-300", 0), ("digits-300", 1)]
    with pytest.raises(ConfigurationError, match="at most 64"):
        sets.hold([("digits-300", seed) for seed in range(MOST_HELD + 1)])
