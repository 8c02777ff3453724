"""Primitives: repeatable batches whose labels tell what is in the picture."""

import dataclasses
import inspect

import pytest
import torch

from evaluator.training.pretraining.primitives import ATTRIBUTES, COUNTED, KINDS, batch, canvas, draw_batch, fields, kinds
from evaluator.training.pretraining.primitives.canvas import COLUMNS, Draws


def alone(kind, count=32, size=64, seed=3, plain=True):
    """Images (count, 3, size, size) in floats with one plain instance of a kind on middle grey."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.full((count, 3, size, size), 0.5)
    axis = (torch.arange(size) + 0.5) * (2.0 / size) - 1.0
    chosen = dataclasses.replace(kind, faint=0.5 * kind.plain) if plain else kind
    table = torch.rand((count, COLUMNS), generator=generator)
    batch._add_instances(image, chosen, [torch.arange(count)], Draws(table), axis, generator)
    return image


def test_shapes_types_and_range():
    images, labels = draw_batch(8, 48, seed=1)
    assert images.shape == (8, 3, 48, 48)
    assert images.dtype == torch.uint8
    assert labels.shape == (8, len(ATTRIBUTES))
    assert set(labels.unique().tolist()) <= {0.0, 1.0}


def test_a_batch_is_named_by_seed_stream_and_index():
    first = draw_batch(6, 32, seed=5, index=2)
    assert all(torch.equal(a, b) for a, b in zip(first, draw_batch(6, 32, seed=5, index=2), strict=True))
    for other in (draw_batch(6, 32, 6, 2), draw_batch(6, 32, 5, 3), draw_batch(6, 32, 5, 2, stream="held-out")):
        assert not torch.equal(first[0], other[0])


def test_the_global_random_state_does_not_matter():
    torch.manual_seed(1)
    first = draw_batch(4, 32, seed=5)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(first[0], draw_batch(4, 32, seed=5)[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_shows_nearly_always_when_plain(kind):
    change = (alone(kind) - 0.5).abs().amax(dim=(1, 2, 3))
    assert torch.isfinite(change).all()
    assert (change > 0.02).float().mean() > 0.9


def test_hue_patches_leave_the_luminance_alone():
    kind = next(kind for kind in KINDS if kind.equal_luminance)
    image = alone(kind)
    luminance = (image * torch.tensor(batch.LUMA).view(1, 3, 1, 1)).sum(1)
    assert (luminance - 0.5).abs().max() < 1e-5
    assert (image - 0.5).abs().max() > 0.1


def test_labels_follow_what_is_drawn(monkeypatch):
    """Every call of a field stands for as many instances as the labels imply."""
    drawn = {}

    def spy(image, kind, slots, *rest):
        drawn[kind.name] = [set(slot.tolist()) for slot in slots]

    monkeypatch.setattr(batch, "_add_instances", spy)
    _, labels = draw_batch(64, 32, seed=9)
    for kind in KINDS:
        shown = {i for i in range(64) if labels[i, ATTRIBUTES.index(kind.name)]}
        assert drawn[kind.name][0] == shown
    for name in COUNTED:
        assert drawn[name][1] == {i for i in range(64) if labels[i, ATTRIBUTES.index(f"several_{name}")]}


def test_every_attribute_is_neither_rare_nor_common():
    _, labels = draw_batch(2000, 16, seed=4)
    rates = labels.mean(0)
    assert (rates > 0.08).all()
    assert (rates < 0.35).all()


def test_a_larger_image_is_the_same_picture():
    """Positions and sizes are shares of the side, so that a layout does not depend on the resolution."""
    disc = next(kind for kind in KINDS if kind.name == "disc")
    small, large = alone(disc, size=32), alone(disc, size=64)
    shrunk = torch.nn.functional.avg_pool2d(large, 2)
    assert (small - shrunk).abs().mean() < 0.01


def test_no_instance_asks_for_more_random_numbers_than_there_are():
    for kind in KINDS:
        table = Draws(torch.full((2, COLUMNS), 0.5))
        axis = torch.linspace(-1, 1, 16)
        batch._add_instances(torch.zeros(2, 3, 16, 16), kind, [torch.arange(2)], table, axis, torch.Generator())
        assert table._next <= COLUMNS


def test_the_renderer_knows_nothing_of_the_task():
    lines = [line for module in (batch, canvas, fields, kinds) for line in inspect.getsource(module).splitlines()]
    imported = [line for line in lines if line.startswith(("import ", "from "))]
    assert not any("evaluator.data" in line for line in imported)
    damages = ("scratch", "dent", "particle", "discoloration", "sheet")
    assert not any(word in name for name in ATTRIBUTES for word in damages)


@pytest.mark.parametrize(("n", "size"), [(0, 64), (4, 15)])
def test_impossible_batches_are_refused(n, size):
    with pytest.raises(ValueError, match=f"n is {n} and size {size}"):
        draw_batch(n, size, seed=1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_labels_are_the_same_on_every_device_and_pictures_repeat():
    images, labels = draw_batch(64, 64, seed=1, device="cuda")
    again, _ = draw_batch(64, 64, seed=1, device="cuda")
    assert torch.equal(labels.cpu(), draw_batch(64, 64, seed=1)[1])
    assert torch.equal(images, again)
