"""A training that is interrupted goes on from its last epoch and ends at the same weights, to the bit."""

import os
import signal
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toys import LINEAR, SMALL, same, toy

from evaluator.errors import ConfigurationError, TrainingError
from evaluator.training import checkpoint
from evaluator.training import device as devices
from evaluator.training.checkpoint import Checkpoint, State
from evaluator.training.loop import train
from evaluator.training.network import PooledLinear
from evaluator.training.predict import predict

ROOT = Path(__file__).resolve().parents[2]
NETWORK = replace(
    SMALL,
    epochs=3,
    batch_size=6,
    dropout=0.3,
    stochastic_depth=0.2,
    averaging=0.7,
    validation_share=0.25,
    threshold="validation",
)
RECIPES = {
    "network": NETWORK,
    "frozen norm, sgd": replace(NETWORK, optimiser="sgd", freeze_batch_norm=True, averaging=0.0, gradient_clip=0.0),
    "linear": replace(LINEAR, epochs=4, batch_size=12, averaging=0.9, validation_share=0.2, threshold="validation"),
}
QUICK = RECIPES["linear"]


@pytest.fixture(autouse=True)
def _after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "SHORTEST", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", float("inf"))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "partial" / "training.checkpoint"


class Interrupted(Exception):
    """Somebody pressed a key."""


def interrupted(recipe, images, labels, path, share, **options):
    """Train until ``share`` of the work is done, and say from which share on."""
    shares = []

    def progress(done):
        shares.append(done)
        if done >= share:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(recipe, images, labels, **({"seed": 7, "threads": 1} | options), checkpoint=path, progress=progress)
    return shares[0]


def equal(one, other) -> bool:
    thresholds = np.array_equal(one.thresholds, other.thresholds)
    return same(one, other) and one.history == other.history and thresholds


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.endurance
def test_interrupted_in_every_epoch_it_ends_at_the_same_weights(name, path):
    recipe, (images, labels) = RECIPES[name], toy(24)
    whole = train(recipe, images, labels, seed=7, threads=1)
    begun = [interrupted(recipe, images, labels, path, (epoch + 0.9) / recipe.epochs) for epoch in range(recipe.epochs)]
    assert [int(share * recipe.epochs) for share in begun] == [0, *range(recipe.epochs - 1)]
    shares = []
    again = train(recipe, images, labels, seed=7, threads=1, checkpoint=path, progress=shares.append)
    assert shares[0] > (recipe.epochs - 1) / recipe.epochs
    assert equal(again, whole)
    assert predict(again, images).tobytes() == predict(whole, images).tobytes()
    assert again.seconds > 0
    assert f"after epoch {recipe.epochs - 1} of {recipe.epochs}" in again.notes[-1]
    assert list(path.parent.iterdir()) == []


def test_a_checkpoint_changes_nothing(path):
    images, labels = toy(24)
    plain, kept = (train(NETWORK, images, labels, seed=7, threads=1, checkpoint=file) for file in (None, path))
    assert equal(plain, kept)
    assert kept.notes == ()
    assert list(path.parent.iterdir()) == []


def test_a_head_on_embeddings_goes_on(path, monkeypatch):
    monkeypatch.setattr("evaluator.training.loop.load_starting_weights", lambda *given: "test")
    monkeypatch.setattr("evaluator.training.loop.starting_weights_identity", lambda *given: "test")
    recipe = replace(NETWORK, trains="head", weights="procedural", embedding_views=2, epochs=4)
    images, labels = toy(16)
    whole = train(recipe, images, labels, seed=7, threads=1)
    interrupted(recipe, images, labels, path, 0.97)
    assert path.stat().st_size < 200_000  # of the network's 16 MB only the head changes
    again = train(recipe, images, labels, seed=7, threads=1, checkpoint=path)
    assert equal(again, whole)
    assert "went on" in again.notes[0]


@pytest.mark.slow
@pytest.mark.endurance
def test_a_killed_process_is_gone_on_from(path):
    code = """
        import os, signal, sys
        from pathlib import Path
        from test_resume import QUICK, checkpoint, toy, train

        checkpoint.SHORTEST, checkpoint.LARGEST_SHARE = 0.0, float("inf")

        def progress(share):
            if share > 0.8:
                os.kill(os.getpid(), signal.SIGKILL)

        train(QUICK, *toy(24), seed=7, threads=1, checkpoint=Path(sys.argv[1]), progress=progress)
    """
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    images, labels = toy(24)
    again = train(QUICK, images, labels, seed=7, threads=1, checkpoint=path)
    assert "after epoch 3 of 4" in again.notes[0]
    assert equal(again, train(QUICK, images, labels, seed=7, threads=1))


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "flipped":
        content[len(content) // 2] ^= 1
    elif how == "empty":
        content = bytearray()
    else:
        content = bytearray(b"not a checkpoint at all" * 100)
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_removed_with_a_warning(how, path):
    images, labels = toy(24)
    interrupted(QUICK, images, labels, path, 0.6)
    damage(path, how)
    shares = []
    with pytest.warns(UserWarning, match=r"training\.checkpoint is damaged; it is removed"):
        again = train(QUICK, images, labels, seed=7, threads=1, checkpoint=path, progress=shares.append)
    assert shares[0] < 1 / QUICK.epochs
    assert again.notes == ()
    assert equal(again, train(QUICK, images, labels, seed=7, threads=1))
    assert not path.exists()


@pytest.mark.parametrize("other", ["seed", "threads", "recipe", "image", "label", "micro_batch", "format"])
def test_the_file_of_another_training_is_never_used(other, path, monkeypatch):
    images, labels = toy(24)
    interrupted(QUICK, images, labels, path, 0.6)
    recipe, options = QUICK, {"seed": 7, "threads": 1}
    if other in ("seed", "threads", "micro_batch"):
        options[other] = {"seed": 8, "threads": 2, "micro_batch": 2}[other]
    elif other == "recipe":
        recipe = replace(QUICK, learning_rate=0.03)
    elif other == "image":
        images[3, 4, 5, 0] ^= 1
    elif other == "label":
        labels[3, 1] ^= 1
    else:
        monkeypatch.setattr(devices, "number_format", lambda *given: "bfloat16")
    fresh = train(recipe, images, labels, **options)
    with pytest.warns(UserWarning, match="belongs to another training"):
        assert equal(train(recipe, images, labels, **options, checkpoint=path), fresh)


def test_the_same_training_from_arrays_of_another_kind_is_the_same(path):
    images, labels = toy(24)
    interrupted(QUICK, images, labels, path, 0.6)
    read_only = np.asfortranarray(images)
    read_only.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = train(QUICK, read_only, labels.astype(bool), seed=7, threads=1, checkpoint=path)
    assert "went on" in again.notes[0]


def test_it_goes_on_with_the_micro_batch_that_fitted(path, monkeypatch):
    images, labels = toy(24)
    recipe, forward = replace(QUICK, validation_share=0.0, threshold="fixed"), PooledLinear.forward
    by_hand = train(recipe, images, labels, seed=7, threads=1, micro_batch=6)

    def small(self, x):
        if len(x) > 7 and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(PooledLinear, "forward", small)
    interrupted(recipe, images, labels, path, 0.6)
    monkeypatch.setattr(PooledLinear, "forward", forward)  # there is room again, but what was begun is finished
    again = train(recipe, images, labels, seed=7, threads=1, checkpoint=path)
    assert again.micro_batch == 6
    assert same(again, by_hand)
    assert [note.split(":")[0] for note in again.notes] == [
        "memory ran out on cpu",
        "went on from a checkpoint after epoch 2 of 4",
    ]


def test_memory_that_runs_out_after_an_interruption_begins_anew(path, monkeypatch):
    images, labels = toy(24)
    recipe, forward = replace(QUICK, validation_share=0.0, threshold="fixed"), PooledLinear.forward
    by_hand = train(recipe, images, labels, seed=7, threads=1, micro_batch=6)
    interrupted(recipe, images, labels, path, 0.6)

    def small(self, x):
        if len(x) > 7 and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(PooledLinear, "forward", small)
    again = train(recipe, images, labels, seed=7, threads=1, checkpoint=path)
    assert equal(again, by_hand)
    assert len(again.notes) == 1
    assert "memory ran out" in again.notes[0]


def test_a_scaled_training_goes_on(path, monkeypatch):
    monkeypatch.setattr(devices, "number_format", lambda *given: "float16")
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *given, **options: scaler(*given, init_scale=2.0**22, **options))
    images, labels = toy(24)
    whole = train(QUICK, images, labels, seed=7, threads=1)
    assert whole.history[0]["skipped_steps"] > 0
    interrupted(QUICK, images, labels, path, 0.6)
    assert equal(train(QUICK, images, labels, seed=7, threads=1, checkpoint=path), whole)


def test_a_training_that_fails_for_good_keeps_its_file(path, monkeypatch):
    """A device that was lost in epoch 3 comes back with a restart, and the first two epochs are not lost with it."""
    images, labels = toy(24)

    def lost(share):
        if share > 0.6:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    with pytest.raises(TrainingError, match="vanished"):
        train(QUICK, images, labels, seed=7, threads=1, checkpoint=path, progress=lost)
    again = train(QUICK, images, labels, seed=7, threads=1, checkpoint=path)
    assert "after epoch 2" in again.notes[0]


def test_a_disk_that_takes_no_checkpoint_is_no_reason_to_stop(path):
    path.mkdir(parents=True)
    images, labels = toy(24)
    with pytest.warns(UserWarning, match="starts anew if it is interrupted") as warned:
        trained = train(QUICK, images, labels, seed=7, threads=1, checkpoint=path)
    said = [str(warning.message) for warning in warned]
    assert sum("could not be written" in message for message in said) == 1
    assert "could not be written" in trained.notes[0]
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_refused_before_work_starts(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made"):
        train(QUICK, *toy(8), seed=7, checkpoint=tmp_path / "file" / "training.checkpoint")


def test_no_more_than_a_twentieth_of_the_time_goes_into_writing(path, monkeypatch):
    monkeypatch.undo()
    now = 0.0
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: now))
    file = Checkpoint(path, "digest")

    def after(seconds):
        nonlocal now
        now += seconds
        return file.due()

    def state():
        nonlocal now
        now += 0.5
        return State({"weight": torch.arange(3.0)}, {"epoch": 4})

    assert not after(1.9)
    assert after(0.2)
    file.write(state)
    assert not after(9.9)
    assert after(0.2)
    found = file.read()
    assert found.tensors["weight"].tolist() == [0, 1, 2]
    assert found.about == {"epoch": 4}
