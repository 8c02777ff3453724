"""Stored embeddings and the heads that are trained on them: the result without the store, computed once, whole or not at all."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_embeddings import enliven
from toys import SMALL, TURNS, distance, same, toy

from evaluator.errors import DataError, TrainingError
from evaluator.purchase import cell as cells
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.training import device as devices
from evaluator.training import memory
from evaluator.training.embeddings import store as embedding_store
from evaluator.training.embeddings.heads import predict_head, train_head
from evaluator.training.embeddings.store import ImageSource, embeddings_of
from evaluator.training.loop import train
from evaluator.training.network import build_network, feature_state
from evaluator.training.pipeline import Augmentation, Pipeline, is_proxy
from evaluator.training.predict import predict
from evaluator.training.recipes import PIPELINES

HEAD = replace(
    SMALL,
    name="small-proxy",
    trains="head",
    weights="procedural",
    embedding_views=1,
    augmentation=Augmentation(),
    epochs=5,
    learning_rate=0.05,
    averaging=0.8,
    dropout=0.3,
    validation_share=0.0,
    threshold="base_rate",
)
LEARNT = {"classifier.1.weight", "classifier.1.bias"}


@pytest.fixture(autouse=True)
def _random_features(monkeypatch):
    """Random features that are the same in every network, without any file; nothing is remembered from test to test."""
    source = build_network("efficientnet_b0", 1, seed=5)
    enliven(source)
    kept = {name: tensor.clone() for name, tensor in feature_state(source).items()}

    def load(model, *given) -> str:
        with torch.no_grad():
            for name, tensor in feature_state(model).items():
                tensor.copy_(kept[name])
        return "test"

    for module in ("loop", "embeddings.store"):
        monkeypatch.setattr(f"evaluator.training.{module}.load_starting_weights", load)
        monkeypatch.setattr(f"evaluator.training.{module}.starting_weights_identity", lambda *given: "test")
    forget()
    yield
    forget()


def forget() -> None:
    """As if another process went on."""
    embedding_store._opened.clear()
    embedding_store.weights_of.cache_clear()


class Images:
    """A source of images that counts how often they are read."""

    def __init__(self, images: np.ndarray, folder: Path, digest: str = "images") -> None:
        self.images, self.folder, self.digest, self.reads = images, folder, digest, 0

    def source(self) -> ImageSource:
        def gather(rows: range) -> np.ndarray:
            self.reads += 1
            return self.images[rows.start : rows.stop]

        return ImageSource(self.digest, len(self.images), self.images.shape[1], gather, self.folder)

    def embeddings(self, pipeline: Pipeline = HEAD) -> np.ndarray:
        return embeddings_of(pipeline, self.source(), threads=1)

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.folder.iterdir())


@pytest.fixture
def images(tmp_path) -> Images:
    return Images(toy(64)[0], tmp_path / "cache")


def only_head(trained) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in trained.model.state_dict().items() if name in LEARNT}


# -- the result without the store


def test_as_many_images_at_once_as_the_recipes_size_allows(tmp_path, monkeypatch):
    """And not the size of the files: they are scaled before they go through the network."""
    plain, sides = devices.images_at_once, []
    monkeypatch.setattr(devices, "images_at_once", lambda kind, side: sides.append(side) or plain(kind, side))
    large = Images(toy(12, side=64)[0], tmp_path / "cache")
    large.embeddings()
    assert set(sides) == {HEAD.image_size} == {32}
    trained = train(HEAD, large.images, toy(12)[1], seed=3, threads=1)
    predict(trained, large.images)
    assert len(sides) >= 3
    assert set(sides) == {32}


def test_a_head_predicts_in_the_room_of_its_device(images, monkeypatch):
    embedded = images.embeddings()
    head = train_head(HEAD, embedded, toy(64)[1], seed=3, threads=1, weights_identity="test")
    seen = []

    def in_room(where, need, work):
        seen.append((where.type, need() > 2 * embedded.nbytes))
        return work()

    monkeypatch.setattr(memory, "in_room", in_room)
    assert predict_head(head, embedded).shape == (64, 2)
    assert seen == [("cpu", True)]


def test_with_the_same_embeddings_the_head_is_the_one_of_the_plain_training_to_the_bit(images):
    labels = toy(64)[1]
    plain = train(HEAD, images.images, labels, seed=3, threads=1)
    head = train_head(HEAD, images.embeddings(), labels, seed=3, threads=1, weights_identity="test")
    learnt = only_head(plain)
    assert float(learnt["classifier.1.weight"].abs().max()) > 1e-2
    assert all(torch.equal(tensor, only_head(head)[name]) for name, tensor in learnt.items())
    assert np.array_equal(plain.thresholds, head.thresholds)
    assert plain.history == head.history
    assert (plain.n_train, plain.micro_batch, plain.weights_identity) == (head.n_train, head.micro_batch, head.weights_identity)
    assert np.array_equal(predict(plain, images.images), predict_head(head, images.embeddings()))


def test_whatever_the_last_batch_is_the_result_is_the_same_up_to_rounding(images):
    recipe = replace(HEAD, validation_share=0.25)
    rows, labels = np.arange(1, 60, 2), toy(64)[1]
    plain = train(recipe, images.images[rows], labels[rows], seed=3, threads=1)
    head = train_head(recipe, images.embeddings()[rows], labels[rows], seed=3, threads=1, weights_identity="test")
    assert max(float((tensor - only_head(head)[name]).abs().max()) for name, tensor in only_head(plain).items()) < 1e-3
    assert np.abs(predict(plain, images.images) - predict_head(head, images.embeddings())).max() < 1e-3
    assert head.n_validation == plain.n_validation > 0


def test_a_head_repeats_to_the_bit_and_follows_its_seed(images):
    labels = toy(64)[1]
    first, again, other = (
        train_head(HEAD, images.embeddings(), labels, seed=seed, threads=1, weights_identity="test") for seed in (1, 1, 2)
    )
    assert same(first, again)
    assert distance(first, other) > 1e-4  # by order and dropout


def test_a_head_leaves_the_global_random_state_alone(images):
    embedded = images.embeddings()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    train_head(HEAD, embedded, toy(64)[1], seed=1, threads=1, weights_identity="test")
    assert torch.equal(before, torch.get_rng_state())


# -- computed once, whole or not at all


def test_embeddings_are_computed_once_and_read_only(images):
    first = np.array(images.embeddings())
    assert images.reads == 1
    forget()
    again = images.embeddings()
    assert images.reads == 1
    assert np.array_equal(first, again)
    assert isinstance(again, np.memmap)
    assert again.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 0
    for path in images.folder.iterdir():
        if path.suffix != ".lock":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, "row numbers are canonical: not for the worker"


@pytest.mark.parametrize(
    "change",
    [{"image_size": 48}, {"mean": (0.5, 0.5, 0.5)}, {"std": (0.3, 0.3, 0.3)}, {"digest": "others"}, {"weights_identity": "new"}],
    ids=["size", "mean", "std", "images", "weights"],
)
def test_other_images_or_weights_never_meet_old_embeddings(images, change, monkeypatch):
    images.embeddings()
    if "digest" in change:
        images.digest = change["digest"]
    if "weights_identity" in change:
        monkeypatch.setattr(embedding_store, "starting_weights_identity", lambda *given: "new")
        usual = embedding_store.load_starting_weights
        monkeypatch.setattr(embedding_store, "load_starting_weights", lambda *given: usual(*given) and "new")
        forget()
    images.embeddings(replace(HEAD, **{k: v for k, v in change.items() if k not in ("digest", "weights_identity")}))
    assert images.reads == 2
    assert images.files().count(".npy") == 2


def test_what_changes_the_head_alone_shares_the_embeddings(images):
    images.embeddings()
    images.embeddings(replace(HEAD, epochs=7, learning_rate=0.1, name="another", dropout=0.0, threshold="fixed"))
    assert images.reads == 1


def broken(path: Path, how: str) -> None:
    if how == "a changed byte":
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "gone":
        path.unlink()
    else:
        path.write_text(how)


@pytest.mark.parametrize(
    ("suffix", "how", "said"),
    [
        (".npy", "a changed byte", "are not those that were written"),
        (".npy", "cut", "are not those that were written"),
        (".npy", "gone", "is missing"),
        (".json", "{", "is not JSON"),
        (".json", "[]", "is not a JSON object"),
        (".json", '{"about": {}}', "belongs to other embeddings"),
    ],
    ids=["byte", "cut", "gone", "no JSON", "no object", "another index"],
)
@pytest.mark.endurance
def test_damaged_embeddings_are_named_and_made_anew(images, capsys, suffix, how, said):
    first = np.array(images.embeddings())
    forget()
    (path,) = images.folder.glob(f"*{suffix}")
    broken(path, how)
    assert np.array_equal(first, images.embeddings())
    assert images.reads == 2
    assert said in capsys.readouterr().err
    assert images.files() == [".json", ".lock", ".npy"]


def test_a_maker_that_fails_in_the_middle_leaves_nothing_that_counts(images, monkeypatch):
    monkeypatch.setattr(embedding_store, "_CHUNK", 16)
    usual = embedding_store.through

    def fails(chunk, *given):
        if images.reads == 3:
            raise KeyboardInterrupt
        return usual(chunk, *given)

    monkeypatch.setattr(embedding_store, "through", fails)
    with pytest.raises(KeyboardInterrupt):
        images.embeddings()
    assert images.files() == [".lock"]
    monkeypatch.setattr(embedding_store, "through", usual)
    assert np.isfinite(images.embeddings()).all()


def test_of_two_makers_one_computes_and_the_other_reads(images):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: np.array(images.embeddings()), range(2))
    assert images.reads == 1
    assert np.array_equal(first, second)


def test_embeddings_that_are_no_numbers_are_refused(images, monkeypatch):
    usual = embedding_store.features

    def spoilt(model, x):
        found = usual(model, x)
        found[5] = float("nan")
        return found

    monkeypatch.setattr(embedding_store, "features", spoilt)
    with pytest.raises(TrainingError, match="the embedding of image 5 is not finite"):
        images.embeddings()
    assert images.files() == [".lock"]


@pytest.mark.parametrize(
    "change",
    [
        {"trains": "all", "embedding_views": 0},
        {"embedding_views": 0},
        {"augmentation": TURNS},
        {"augmentation": TURNS, "embedding_views": 5},
    ],
    ids=["all layers", "no views", "augmented", "views"],
)
def test_a_pipeline_whose_embeddings_change_is_no_proxy(images, change):
    pipeline = replace(HEAD, **change)
    assert not pipeline.proxy
    with pytest.raises(ValueError, match="no proxy"):
        images.embeddings(pipeline)
    with pytest.raises(ValueError, match="no proxy"):
        train_head(pipeline, np.zeros((4, 3), np.float32), np.eye(4, 2, dtype=np.uint8), seed=0, weights_identity="")


def test_the_kits_proxies_are_those_that_train_a_head_without_augmentation():
    assert {name for name, pipeline in PIPELINES.items() if pipeline.proxy} == {"proxy", "proxy-lite0", "panel-b4-frozen"}
    assert is_proxy(json.loads(json.dumps(PIPELINES["proxy"].as_dict())))


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="float64"):
        train_head(HEAD, np.zeros((4, 3)), np.eye(4, 2, dtype=np.uint8), seed=0, weights_identity="")
    with pytest.raises(DataError, match=r"\(5, 2\)"):
        train_head(HEAD, np.zeros((4, 3), np.float32), np.eye(5, 2, dtype=np.uint8), seed=0, weights_identity="")


# -- in a cell


@pytest.fixture
def judged(cell_spec, sets, strategy, tmp_path, monkeypatch):
    """Train a proxy on the first images of the pool: its score, and how many images went through the network."""
    embedded = []
    usual = embedding_store.through
    monkeypatch.setattr(embedding_store, "through", lambda chunk, *given: embedded.append(len(chunk)) or usual(chunk, *given))
    # Stored embeddings of the session's data would outlive the test.
    images = {name: replace(found, path=_linked(found.path, tmp_path)) for name, found in sets.images.items()}
    here = replace(sets, images=images)
    path = strategy("")

    def judge(bought: int, **changes):
        labels = here.splits["unlabelled"].labels
        ledger = Ledger([Purchase(i, i, i, 0.0, tuple(int(v) for v in labels[i])) for i in range(bought)])
        before = len(embedded)
        spec = cell_spec(path, pipeline=HEAD, weights="test", **changes)
        return spec, here, ledger, cells.train_and_score(spec, here.of(spec), ledger), sum(embedded[before:])

    return judge


def _linked(path: Path, folder: Path) -> Path:
    (folder / path.name).symlink_to(path)
    return folder / path.name


def test_the_first_cell_embeds_every_image_once_and_all_others_none(judged, sets):
    *_, first, through = judged(10)
    assert through == sum(len(sets.splits[name]) for name in ("training", "unlabelled", "validation"))
    *_, second, none = judged(40, seed=1)
    *_, again, none_either = judged(10)
    assert (none, none_either) == (0, 0)
    assert first.fingerprint == again.fingerprint != second.fingerprint
    assert (first.training.n_bought, second.training.n_bought) == (10, 40)


def test_a_cell_by_the_store_scores_as_one_without_it(judged, monkeypatch):
    spec, sets, ledger, scored, _ = judged(30)
    seen = []
    usual = cells.train_on_embeddings
    monkeypatch.setattr(cells, "train_on_embeddings", lambda *given: seen.append(usual(*given)) or seen[-1])
    cells.train_and_score(spec, sets.of(spec), ledger)
    monkeypatch.setattr(cells, "train_on_embeddings", lambda *given: seen.append(cells.train_on_images(*given, None)) or seen[-1])
    plain = cells.train_and_score(spec, sets.of(spec), ledger)
    assert np.abs(seen[0][1] - seen[1][1]).max() < 1e-3
    assert abs(plain.metrics.macro_f1 - scored.metrics.macro_f1) < 0.02
    timeless = ("seconds", "timings", "history", "thresholds")
    plainly, stored = asdict(plain.training), asdict(scored.training)
    assert all(plainly[k] == stored[k] for k in plainly if k not in timeless)
