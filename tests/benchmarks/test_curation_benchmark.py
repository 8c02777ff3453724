"""The benchmark of the curation track measures what it says, and writes its part of the page."""

import json

import numpy as np
import pytest
import torch

from benchmarks.harness import curation
from evaluator.curation.images import LabelledImages
from evaluator.curation.inputs import centred, resized
from evaluator.places import ROOT


def some(n):
    rng = np.random.default_rng(0)
    pixels = tuple(rng.integers(0, 256, (40 + row, 50), dtype=np.uint8) for row in range(n))
    return LabelledImages(tuple(f"i/{row}.png" for row in range(n)), pixels, np.arange(n) % 10)


def test_the_plain_port_sees_what_the_kit_sees(tmp_path):
    images = some(3)
    files = curation.Files(tmp_path, images)
    given = torch.stack([files[row][0] for row in range(3)])
    assert torch.allclose(given, centred(resized(images.pixels, 32)), atol=1e-4)
    assert [files[row][1] for row in range(3)] == images.labels.tolist()


def test_a_small_run_is_measured_and_its_part_of_the_page_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(curation, "COUNT", 8)
    monkeypatch.setattr(curation, "DATA", "debug")
    figures, page = tmp_path / "curation.json", tmp_path / "page.md"
    page.write_text(f"before\n{curation.REGION.start}\nold\n{curation.REGION.end}\nafter\n")
    curation.main(["--repeats", "1", "--json", str(figures), "--page", str(page)])
    found = json.loads(figures.read_text())
    assert set(found["times"]) > {"port", "plain", "last", "float32", "bfloat16"}
    assert all(len(of) == 1 and min(of) > 0 for of in found["times"].values())
    text = page.read_text()
    assert text == curation.REGION.replaced(text, curation.page_text(found))
    assert "old" not in text
    assert json.loads(capsys.readouterr().out) == found


def test_a_training_is_projected_from_its_images():
    middle = {"float32": 2.0, "float32 predicts": 0.5}
    assert curation.projected(middle, "float32", "float32 predicts") == pytest.approx(100 * (2_067 * 2.0 + 813 * 0.5) / 1e3)


def test_the_page_shows_the_stored_figures():
    stored = json.loads((ROOT / curation.FIGURES).read_text())
    page = (ROOT / curation.PAGE).read_text()
    assert page == curation.REGION.replaced(page, curation.page_text(stored))
