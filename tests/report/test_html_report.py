"""The report of a run: what it shows is what is stored, it repeats to the byte, and it lets nothing out that it should not."""

import base64
import io
import json
import re
import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, TINY
from PIL import Image
from report_example import HOSTILE
from stored_run import Page, rewritten, write_other, write_run

import local_evaluation
from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.data.folders import read_split
from evaluator.errors import ConfigurationError
from evaluator.history import layout
from evaluator.purchase import profiles
from evaluator.purchase.report_map import _small as shrunk
from evaluator.purchase.report_mistakes import worst
from evaluator.purchase.track import PURCHASE, PurchaseTrack
from evaluator.report.html import render as rendering
from evaluator.report.html.render import Page as Shown
from evaluator.report.html.render import Tabled, render
from evaluator.report.html.run import run_report, write_run_report
from evaluator.report.projection import principal, tsne
from evaluator.sections import Gallery, Material, Picture
from evaluator.sweep.experiment import prepare
from evaluator.sweep.settings import Settings, read_settings

TAGS = {
    *("html", "head", "meta", "title", "link", "style", "body", "main", "section", "div", "span", "b", "h1", "h2", "h3", "p", "ul"),
    *("li", "dl", "dt", "dd", "pre", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "img"),
    *("svg", "path", "rect", "circle", "text", "details", "summary"),
}
SCRIPT = "<script>alert(1)</script>\"' onload=x <img src=https://example.org/x>"


@pytest.fixture(scope="module")
def stored(tmp_path_factory, data_folder):
    """A run of two pairs and two seeds, another submission stored beside it, and the experiment."""
    root = tmp_path_factory.mktemp("run")
    (root / "mine").mkdir()
    (root / "mine" / "run.py").write_text("class Mine: pass\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(profiles.PROFILES, "tiny", TINY)
        own = {name: option.default for name, option in PURCHASE.options.items()}
        given = {"profile": "tiny", "sandbox": "process", "device": "cpu", "data": data_folder, "pipelines": ("milliseconds",)}
        settings = Settings((root / "mine",), own, **given, seeds=2, public_seeds=True, out=root / "results")
        experiment = prepare(PURCHASE, settings, folder=root / "data")
        write_other(experiment, "random", 0.2)
        write_other(experiment, "elsewhere", 0.9, root_seed=7)
        yield write_run(experiment), experiment


@pytest.fixture
def report(stored, data_folder):
    """Make the report of the stored run, or of a copy, from its files."""
    folder, experiment = stored
    places = experiment.settings.out.parent / "data"

    def make(run: Path = folder, **how) -> str:
        return run_report(run, TRACKS, **{"folder": data_folder, "places": places} | how)

    return make


@pytest.fixture
def copy(stored, tmp_path):
    """A copy of the stored run that a test may change."""
    shutil.copytree(stored[0].parent, tmp_path / "results")
    return tmp_path / "results" / stored[0].name


def pixels(attributes) -> np.ndarray:
    """The image of an ``img`` element."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2]))).convert("RGB"), float)


def test_it_shows_score_pairs_classes_and_neighbours(report, stored, data_folder):
    summary = json.loads((stored[0] / "result.json").read_text())
    page = Page(report())
    score = summary["score"]["macro_f1"]
    assert f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" in page.texts
    assert "Macro F1: mean over 2 pairs and 2 seeds, with its 95 % t-interval".lower() in page.said.lower()
    assert "8 of 26 labels" in page.texts
    assert "4 of 12 labels" in page.texts
    assert "Macro F1 by number of labels bought" in page.texts
    # Fabricated labels have the second and the fifth class; the pool has what its table says.
    share = read_split(data_folder / "unlabelled", CLASSES).labels.mean(axis=0)
    for place, name in enumerate(CLASSES):
        assert name in page.texts
        assert f"{100 * (place in (1, 4))} % bought, {100 * share[place]:.0f} % in the pool" in page.texts
        mean = np.mean([cell["metrics"]["f1"][name] for cell in summary["cells"]])
        assert any(text.startswith(f"{mean:.3f}") for text in page.texts), name
    assert "random" in page.texts
    assert "elsewhere" not in page.said, "its draws follow from another root seed"
    assert any(text.endswith(", too few seeds") for text in page.texts)


def test_pictures_are_the_purchases_in_order_and_the_mistakes_with_their_labels(report, stored, data_folder):
    images = Page(report()).every("img")
    bought = [image for image in images if image["alt"].startswith("purchase")]
    assert [int(image["alt"].split()[1].rstrip(",")) for image in bought] == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]
    for image in bought:
        name = re.search(r"\((\d{4}\.png)\)", image["alt"])[1]
        true = np.asarray(Image.open(data_folder / "unlabelled" / "images" / name), float)
        assert np.abs(pixels(image) - true).mean() < 12, "a JPEG of the image that was bought, and of no other"
        assert "scratch_large, stray_particle" in image["alt"]
    split = read_split(data_folder / "validation", CLASSES)
    wrong = [image for image in images if "true:" in image["alt"]]
    assert len(wrong) == 12
    for image in wrong:
        name, true = re.search(r"^(\S+)\. .*true: (.*?) predicted:", image["alt"]).groups()
        label = split.labels[split.files.index(name)]
        assert true == (", ".join(c for c, there in zip(CLASSES, label, strict=True) if there) or "no class")


def test_the_worst_mistakes_are_those_of_the_largest_loss_that_any_cell_got_wrong():
    truth = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], bool)
    mean = np.array([[0.1, 0.1], [0.6, 0.4], [0.9, 0.1], [0.4, 0.9]])
    assert worst(mean, truth, wrong=np.array([1, 0, 2, 1])) == [2, 0, 3]
    assert worst(mean, truth, wrong=np.array([1, 0, 2, 1]), most=1) == [2]
    assert worst(mean, truth, wrong=np.zeros(4, int)) == []


def test_the_map_is_that_of_scikit_learn():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(3)
    for shape in ((40, 12), (12, 40), (300, 280)):
        vectors = rng.normal(size=shape) * np.linspace(5, 0.1, shape[1])
        points, explained = principal(vectors, 2)
        known = PCA(2).fit(vectors)
        np.testing.assert_allclose(np.abs(points), np.abs(known.transform(vectors)), atol=1e-6)
        np.testing.assert_allclose(explained, known.explained_variance_ratio_, atol=1e-9)
    assert principal(np.zeros((3, 1)), 2)[0].shape == (3, 2)


@pytest.mark.parametrize("times", [1, 5, 28])
def test_the_map_compares_means_of_blocks(times):
    small = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    large = small.repeat(times, axis=1).repeat(times, axis=2)
    np.testing.assert_allclose(shrunk(large), small.reshape(3, -1))
    assert shrunk(small[:, :6, :6]).shape == (3, 6 * 6 * 3), "smaller images stay as they are"


def test_another_arrangement_needs_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openTSNE", None)
    with pytest.raises(ConfigurationError, match=r"--map tsne needs openTSNE.*requirements-report.txt"):
        tsne(np.zeros((5, 2)))


def test_the_command_that_it_names_asks_for_the_same_cells(report, stored, data_folder, monkeypatch):
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    folder, experiment = stored
    text = Page(report())
    (command,) = [t for t in text.texts if t.startswith("python local_evaluation.py")]
    words = shlex.split(command.replace("\\\n", " "))[2:]
    words[words.index("--submission") + 1] = str(experiment.settings.submissions[0])
    words += ["--data", str(data_folder), "--out", str(folder.parent)]
    options = local_evaluation.sweep_options(local_evaluation.build_parser().parse_args(words))
    again = prepare(PURCHASE, read_settings(options, PURCHASE)[0], folder=experiment.settings.out.parent / "data")
    assert {spec.digest() for spec in again.cells} == {spec.digest() for spec in experiment.cells}
    assert "Public seeds" in text.said
    assert f"digest {experiment.sources[0].digest[:16]}" in text.said


def test_it_repeats_to_the_byte_from_stored_files_and_from_the_data_of_the_run(report, stored):
    first = report()
    assert report() == first
    assert report(data=stored[1].plan.data["validation"], folder=None) == first
    assert len(first) < rendering.MOST_BYTES


def test_without_pictures_no_data_set_is_read_and_no_label_is_shown_that_was_not_bought(report, tmp_path):
    page = Page(report(pictures=False, folder=tmp_path / "nowhere", places=tmp_path / "nowhere"))
    assert page.every("img") == []
    for said in ("% in the pool", "true:", ".png", "principal components"):
        assert said not in page.said
    assert "(--no-pictures)" in page.said
    assert "F1 of each class, 0 to 1" in page.texts


def test_it_holds_no_secret_and_no_index_of_the_pool(copy, report, data_folder):
    (copy.parent / "secret").write_text("0123456789abcdef" * 2 + "\n")
    text = report(copy)
    assert "0123456789abcdef" not in text
    assert "index" not in Page(text).said


def test_other_data_than_that_of_the_run_are_never_shown(copy, report, data_folder, tmp_path):
    shutil.copytree(data_folder, tmp_path / "other")
    table = tmp_path / "other" / "unlabelled" / "labels.csv"
    head, first, *rest = table.read_text().splitlines()
    table.write_text("\n".join([head, first[:-1] + str(1 - int(first[-1])), *rest]) + "\n")
    page = Page(report(copy, folder=tmp_path / "other"))
    assert page.every("img") == []
    assert "No pictures, no map" in page.said
    gone = Page(report(copy, folder=tmp_path / "gone"))
    assert "gone/unlabelled does not exist" in gone.said
    undecoded = Page(report(copy, places=tmp_path / "empty"))
    assert "holds no decoded images" in undecoded.said


def test_cells_that_are_gone_or_were_run_again_are_named_and_not_shown(copy, report):
    first, second, *_ = json.loads((copy / "result.json").read_text())["cells"]
    (copy.parent / "cells" / f"{first['cell']}.json").unlink()
    summary = json.loads((copy / "result.json").read_text())
    summary["cells"][1]["fingerprint"] = "e" * 64
    (copy / "result.json").write_text(json.dumps(summary))
    page = Page(report(copy))
    assert "1 cell of this run cannot be read any more" in page.said
    assert "1 cell of this run was run again since" in page.said
    (copy.parent / "cells" / f"{second['cell']}.npy").write_bytes(b"x")
    shutil.rmtree(copy.parent / "cells")
    (copy.parent / "cells").mkdir()
    assert "4 cells of this run cannot be read any more" in Page(report(copy)).said


def test_a_submission_with_a_failed_cell_has_no_means_beside_others():
    f1 = dict.fromkeys(CLASSES, 0.5)

    def cell(seed, scored):
        spec = {"task": "621:17", "seed": seed, "profile": {"round": {"classes": CLASSES}}}
        row = {"bought": 4, "budget": 12, "seconds": 1.0, "seconds_allowed": 2.0}
        metrics = {"macro_f1": 0.5, "f1": f1, "n": 8} if scored else None
        return {"spec": spec, "scored": scored, "metrics": metrics, "purchase": row}

    cells = {"fails": [cell(0, True), cell(1, False)], "works": [cell(0, True), cell(1, True)]}
    used, classes = PURCHASE.report_sections(cells, Material(lambda cell: None, False, Path(), Path()))
    assert [bar.label for bar in used.parts[0].bars] == ["621:17  fails", "621:17  works"]
    assert [series.name for series in classes.parts[0].series] == ["works"]
    assert classes.notes == ("fails: 1 of 2 cells were scored, so it has no means here.",)


def test_damaged_predictions_are_a_note(copy, report):
    for path in (copy.parent / "cells").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-1])
    assert "was changed after it was written" in Page(report(copy)).said


def test_every_foreign_text_is_shown_and_none_is_markup(copy, report):
    hostile = HOSTILE + SCRIPT
    classes = [f"{hostile}{place}" for place in range(len(CLASSES))]

    def change(cell):
        cell["spec"]["submission"] = hostile
        cell["spec"]["pipeline"]["name"] = hostile
        cell["spec"]["profile"]["round"]["classes"] = classes
        cell["metrics"]["f1"] = dict.fromkeys(classes, 0.5)
        cell["versions"]["kit"] = hostile
        cell["reason"] = hostile
        cell["phases"][-1] |= {"verdict": "RUNTIME_ERROR", "reason": hostile, "name": hostile}
        cell["purchase"]["disagreement"] = hostile

    run = rewritten(copy, change)
    summary = json.loads((run / "result.json").read_text())
    summary["submission"]["name"] = summary["round"] = summary["isolation"] = summary["busy"] = hostile
    summary["warnings"] = [hostile] * 3
    summary["versions"] = [{hostile: hostile}]
    summary["pipeline"]["name"] = hostile
    (run / "result.json").write_text(json.dumps(summary))
    text = report(run)
    page = Page(text)
    assert {tag for tag, _ in page.tags} <= TAGS
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "data:,") == "data:,"
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
    assert not [c for c in text if ord(c) < 32 and c != "\n"]
    assert "\u202e" not in text
    assert page.said.count("=Q[red]x[/red]") > 10
    assert "<b>`" not in text


def test_pictures_never_make_the_page_too_large():
    noise = np.random.default_rng(0).integers(0, 256, (300, 150, 150, 3), dtype=np.uint8)
    pictures = tuple(Picture(image, ("x",), "noise") for image in noise)
    text = render(Shown("many", "", sections=(Tabled("noise", (Gallery("noise", "", pictures, 150),)),)))
    assert 2 * 2**20 < len(text) < rendering.MOST_BYTES
    assert re.search(r"\d+ pictures were left out, so that the page stays below 3 MB", text)


def test_a_report_that_fails_is_a_warning(copy, monkeypatch, capsys, tmp_path):
    def broken(*_):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(PurchaseTrack, "report_sections", broken)
    assert write_run_report(copy, TRACKS, places=tmp_path) is None
    said = capsys.readouterr().err
    assert said.startswith("warning: the report of")
    assert "ZeroDivisionError: a fault of ours" in said
    assert not (copy / "report.html").exists()
    monkeypatch.undo()
    (copy / "result.json").write_text("{}")
    assert write_run_report(copy, TRACKS) is None
    assert "is not the summary of a run" in capsys.readouterr().err


def summary_with(members: dict) -> str:
    """A summary of the purchase track with some members."""
    return json.dumps({"cells": [], "schema": 3, "track": "purchase"} | members)


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("[]", "is not the summary of a run"),
        ("{", "is not JSON"),
        ('{"cells": [], "schema": 1}', "has the schema 1"),
        ('{"cells": [], "schema": 3, "track": "x"}', "is of the track 'x'"),
        ('{"cells": [], "schema": 3, "track": "purchase"}', "were not understood"),
        ('{"cells": [{"cell": "../../x"}], "schema": 3, "track": "purchase"}', "names the cell '../../x'"),
        ('{"cells": [], "schema": 3, "track": "purchase", "primary_metric": "x"}', "primary_metric is 'x'; expected macro_f1"),
        (summary_with({"score": {"macro_f1": {"mean": 1.2}}}), "macro_f1 is 1.2; expected 0 to 1"),
        (summary_with({"cells": [{"cell": "0" * 32, "metrics": {"accuracy": -0.5}}]}), "accuracy is -0.5; expected 0 to 1"),
        (summary_with({"cells": [{"cell": "0" * 32, "score": "0.9"}]}), "macro_f1 is '0.9'; expected a finite number"),
        (summary_with({"rows": [{"score": {"hamming_loss": {"mean": 7}}}]}), "hamming_loss is 7; expected 0 to 1"),
    ],
)
def test_what_is_no_run_is_refused_in_words(tmp_path, capsys, content, seen):
    (tmp_path / "result.json").write_text(content)
    assert cli(["report", str(tmp_path)]) == 2
    assert seen in capsys.readouterr().err


def test_the_verb_says_what_the_page_lacks_and_its_status_tells(copy, data_folder, tmp_path, capsys):
    # On a copy whose images are decoded in another place: pictures are lacking, until they are found or not asked for.
    command = ["report", str(copy), "--data", str(data_folder), "--cache"]
    assert cli([*command, str(tmp_path / "empty")]) == 1
    out, err = capsys.readouterr()
    assert "warning: No pictures, no map: " in err
    assert out.startswith("report: ")
    assert cli([*command, str(tmp_path / "empty"), "--no-pictures"]) == 0
    assert capsys.readouterr().err == ""
    first, second, *_ = json.loads((copy / "result.json").read_text())["cells"]
    (copy.parent / "cells" / f"{first['cell']}.json").write_bytes(b"{")
    (copy.parent / "cells" / f"{second['cell']}.json").unlink()
    assert cli(["report", str(copy), "--no-pictures"]) == 1
    assert "warning: 2 cells of this run cannot be read any more" in capsys.readouterr().err


def test_damaged_predictions_are_said_too(copy, report, stored):
    said = []
    first = json.loads((copy / "result.json").read_text())["cells"][0]
    (copy.parent / "cells" / f"{first['cell']}.npy").write_bytes(b"x")
    report(copy, warn=said.append)
    assert len(said) == 1
    assert first["cell"] in said[0]


def test_the_owner_stands_in_the_title_and_what_the_submission_did_among_the_warnings(copy, report):
    summary = json.loads((copy / "result.json").read_text())
    summary["submission"]["owner"] = "The <Team>"
    summary["remarks"] = ["mine: nothing was bought (4 of 4 cells)."]
    (copy / "result.json").write_text(json.dumps(summary))
    page = Page(report(copy))
    assert "mine of The <Team>" in page.texts
    assert "mine: nothing was bought (4 of 4 cells)." in page.texts


def test_a_profile_that_came_from_a_file_is_named_by_a_file_and_what_it_holds(report, monkeypatch):
    monkeypatch.delitem(profiles.PROFILES, "tiny")
    page = Page(report())
    (command,) = [t for t in page.texts if t.startswith("python local_evaluation.py")]
    assert "--profile tiny.toml" in command
    (content,) = [t for t in page.texts if t.startswith("name = ")]
    assert tomllib.loads(content)["name"] == "tiny"
    assert "data_seed" in tomllib.loads(content)
    assert "data_seed" not in Page(report(pictures=False)).said
    assert "tiny.toml: own rules or pipelines of this run" in page.said


def test_labels_bought_make_a_curve_only_where_they_differ(copy, report):
    assert "Macro F1 by number of labels bought" in Page(report(copy)).texts

    def alike(cell):
        cell["purchase"]["bought"] = 0
        cell["ledger"] = []

    assert "Macro F1 by number of labels bought" not in Page(report(rewritten(copy, alike))).texts


def test_the_verb_writes_the_file_and_clean_knows_it(copy, report, data_folder, capsys, tmp_path):
    assert cli(["report", str(copy), "--no-pictures"]) == 0
    assert (copy / "report.html").read_text() == report(copy, pictures=False)
    assert layout.is_run(copy)
    assert capsys.readouterr().out.strip() == f"report: {copy / 'report.html'}"
    assert cli(["report", str(copy), "--out", str(tmp_path / "x.txt")]) == 2
    assert "ends in '.txt'; the page is HTML" in capsys.readouterr().err
    assert cli(["report", str(tmp_path)]) == 2
    assert "expected the folder of a run" in capsys.readouterr().err


def test_a_comparison_is_a_page_too(stored, tmp_path, capsys):
    page = tmp_path / "compare.html"
    assert cli(["compare", str(stored[0].parent), "--html", str(page)]) == 0
    found = Page(page.read_text())
    assert {tag for tag, _ in found.tags} <= TAGS
    assert found.every("img") == []
    assert "Difference to random" in found.texts
    assert "random (reference)" in found.texts
    assert any(text.startswith("+") and text.endswith(", too few seeds") for text in found.texts)
    assert "F1 of each class, 0 to 1" in found.texts
    first = page.read_bytes()
    assert cli(["compare", str(stored[0].parent), "--html", str(page)]) == 0
    assert page.read_bytes() == first
    assert cli(["compare", str(stored[0].parent), "--html", "x.md"]) == 2
    assert "--html x.md ends in '.md'" in capsys.readouterr().err


def test_images_that_a_seed_drew_are_found_by_the_secret_and_by_nothing_else(tmp_path, data_folder, monkeypatch):
    drawing = replace(TINY, name="drawing", drawn={"training": 8, "unlabelled": 40})
    monkeypatch.setitem(profiles.PROFILES, "drawing", drawing)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.py").write_text("class Mine: pass\n")
    own = {name: option.default for name, option in PURCHASE.options.items()} | {"pairs": ("621:17",)}
    given = {"profile": "drawing", "sandbox": "process", "device": "cpu", "data": data_folder, "pipelines": ("milliseconds",)}
    settings = Settings((tmp_path / "mine",), own, **given, out=tmp_path / "results")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "secret").write_text("0123456789abcdef" * 2 + "\n")  # of which the first images are not drawn
    experiment = prepare(PURCHASE, settings, folder=tmp_path / "data")
    run = write_run(experiment)
    how = {"folder": data_folder, "places": tmp_path / "data"}
    text = run_report(run, TRACKS, **how)
    sets = experiment.plan.data["validation"].of(experiment.cells[0])
    files = [sets.splits["unlabelled"].files[number] for number in range(4)]
    bought = [image["alt"] for image in Page(text).every("img") if image["alt"].startswith("purchase")]
    assert [alt.rpartition("(")[2].rstrip(")") for alt in bought] == files
    assert files != sorted(experiment.plan.data["validation"].splits["unlabelled"].files)[:4]
    assert run_report(run, TRACKS, places=tmp_path / "data", data=experiment.plan.data["validation"]) == text
    assert str(json.loads((run / "result.json").read_text())["secret"]) in text
    secret = (tmp_path / "results" / "secret").read_text().split()[0]
    assert secret not in text
    (tmp_path / "results" / "secret").rename(tmp_path / "kept")
    without = Page(run_report(run, TRACKS, **how))
    assert without.every("img") == []
    assert "there is no file of a secret here" in without.said
    assert run_report(run, TRACKS, **how, secret=tmp_path / "kept") == text
