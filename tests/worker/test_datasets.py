"""The data sets that the phases are given: sequences over the mapped cache, without copies, and torch's view of them."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.worker.datasets import ImageDataset
from evaluator.worker.images import map_images
from evaluator.worker.purchase import MarketClient, MarketClosedError, PoolDataset

N, CLASSES = 10, ("a", "b", "c")
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 4, 4, 3), dtype=np.uint8)
ROWS = np.random.default_rng(1).permutation(N)
LABELS = np.random.default_rng(2).integers(0, 2, (N, 3))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(file, IMAGES)
    return str(file)


@pytest.fixture
def labelled(path):
    return ImageDataset(path, ROWS, LABELS, CLASSES)


@pytest.fixture
def pool(path):
    return PoolDataset(path, ROWS, CLASSES, MarketClient(None, N, 3, 5, 30.0))


def test_an_item_is_a_dict_of_its_number_image_and_label(labelled):
    assert len(labelled) == N
    for i, item in enumerate(labelled):
        assert list(item) == ["idx", "image", "label"]
        assert type(item["idx"]) is int
        assert item["idx"] == i
        assert item["image"].dtype == np.uint8
        assert np.array_equal(item["image"], IMAGES[ROWS[i]])
        assert item["label"].dtype == np.int64
        assert np.array_equal(item["label"], LABELS[i])
    assert i == N - 1


def test_the_pool_has_no_labels_to_show(pool):
    assert list(pool[0]) == ["idx", "image"]
    with pytest.raises(AttributeError, match="purchase_label"):
        _ = pool.labels


@given(st.integers(-2 * N, 2 * N))
def test_an_index_is_a_position_as_in_a_list(path, i):
    dataset = ImageDataset(path, ROWS, LABELS, CLASSES)
    for index in (i, np.int64(i), np.array(i)):
        if -N <= i < N:
            assert dataset[index]["idx"] == list(range(N))[i]
        else:
            with pytest.raises(IndexError, match=f"{i} is out of range; the data set has {N} images"):
                dataset[index]


@pytest.mark.parametrize("key", [1.0, "1", None, (1, 2)])
def test_what_is_no_position_is_refused(labelled, key):
    with pytest.raises(TypeError):
        labelled[key]


@given(st.slices(N))
def test_a_slice_is_a_data_set_whose_items_keep_their_numbers(path, part):
    pool = PoolDataset(path, ROWS, CLASSES, MarketClient(None, N, 3, 5, 30.0))
    cut = pool[part]
    assert [item["idx"] for item in cut] == list(range(N))[part]
    assert np.array_equal(cut.images, IMAGES[ROWS][part])
    assert [item["idx"] for item in cut[1:]] == list(range(N))[part][1:]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ([3, 1, 1], [3, 1, 1]),
        (np.array([9, -1]), [9, 9]),
        (np.arange(N) % 2 == 0, [0, 2, 4, 6, 8]),
        ([], []),
        (np.array([]), []),
    ],
    ids=str,
)
def test_arrays_of_positions_and_masks_choose_items(labelled, key, expected):
    chosen = labelled[key]
    assert [item["idx"] for item in chosen] == expected
    assert np.array_equal(chosen.labels, LABELS[expected])
    assert np.array_equal(chosen.images, IMAGES[ROWS][expected])


def test_the_images_of_items_are_the_mapped_file_itself(labelled):
    file = labelled._file
    assert all(np.shares_memory(item["image"], file) for item in labelled)
    assert np.shares_memory(labelled[2:5][1]["image"], file)


def test_all_images_are_the_file_where_its_order_is_theirs_and_gathered_once_where_not(path, labelled):
    whole = ImageDataset(path, None, None, CLASSES)
    assert np.shares_memory(whole.images, whole._file)
    assert np.array_equal(whole.images, IMAGES)
    assert labelled.images is labelled.images
    assert np.array_equal(labelled.images, IMAGES[ROWS])


def test_the_cache_cannot_be_written_through_a_data_set(path, labelled):
    for image in (labelled[0]["image"], labelled.images, ImageDataset(path, None, None, CLASSES).images):
        with pytest.raises(ValueError, match="read-only"):
            image[:] = 0


def test_what_ignores_that_images_are_read_only_changes_a_copy_of_its_own(path, labelled):
    """A tensor that shares an image's memory writes to it whatever NumPy says; here the mark is taken away to do the same."""
    other = ImageDataset(path, None, None, CLASSES)
    image = labelled[0]["image"]
    image.setflags(write=True)
    image[:] = 255 - image
    assert np.array_equal(labelled[0]["image"], 255 - IMAGES[ROWS[0]])
    assert np.array_equal(other.images, IMAGES)
    assert np.array_equal(ImageDataset(path, None, None, CLASSES).images, IMAGES)


def test_a_picture_is_the_image(labelled):
    picture = labelled.pil(3)
    assert picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), IMAGES[ROWS[3]])


def test_a_copy_for_another_process_maps_the_file_and_sells_nothing(labelled, pool):
    small = pickle.dumps(labelled)
    _ = labelled.images
    assert len(pickle.dumps(labelled)) == len(small)  # images do not travel
    copy = pickle.loads(small)
    assert np.array_equal(copy[4]["image"], labelled[4]["image"])
    assert np.array_equal(copy.labels, LABELS)
    shop = pickle.loads(pickle.dumps(pool))
    assert np.array_equal(shop[4]["image"], pool[4]["image"])
    assert (shop.budget, shop.remaining_budget) == (5, 5)
    with pytest.raises(MarketClosedError):
        shop.purchase_label(1)


@pytest.mark.parametrize("damage", ["short", "float", "flat", "fortran", "text", "grey"])
def test_a_file_that_is_no_image_cache_is_refused(tmp_path, damage):
    file = tmp_path / "images.npy"
    arrays = {"float": IMAGES / 2, "flat": IMAGES.ravel(), "fortran": np.asfortranarray(IMAGES), "grey": IMAGES[..., :1]}
    np.save(file, arrays.get(damage, IMAGES))
    if damage == "short":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "text":
        file.write_text("file,label\n")
    with pytest.raises(ValueError, match=r".+"):
        map_images(file)


# -- torch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_one_line_makes_a_loader_of_float_images_and_labels(torch, labelled, pool):
    images, labels = next(iter(torch.utils.data.DataLoader(labelled.torch(), batch_size=4)))
    assert images.dtype == labels.dtype == torch.float32
    assert images.shape == (4, 3, 4, 4)
    assert torch.equal(images, torch.from_numpy(IMAGES[ROWS[:4]].transpose(0, 3, 1, 2).astype(np.float32) / 255))
    assert torch.equal(labels, torch.from_numpy(LABELS[:4].astype(np.float32)))
    assert next(iter(torch.utils.data.DataLoader(pool.torch(), batch_size=4))).shape == (4, 3, 4, 4)


def test_a_transform_is_given_the_picture(torch, labelled):
    image, label = labelled.torch(lambda picture: picture.size)[2]
    assert image == (4, 4)
    assert label.tolist() == LABELS[2].tolist()


@pytest.mark.filterwarnings("ignore:.*not writable:UserWarning")
def test_items_go_through_the_default_collation(torch, labelled):
    batches = list(torch.utils.data.DataLoader(labelled, batch_size=4))
    assert [len(b["idx"]) for b in batches] == [4, 4, 2]
    assert torch.cat([b["idx"] for b in batches]).tolist() == list(range(N))
    assert np.array_equal(torch.cat([b["image"] for b in batches]).numpy(), IMAGES[ROWS])
    assert np.array_equal(torch.cat([b["label"] for b in batches]).numpy(), LABELS)


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.slow
@pytest.mark.endurance
def test_a_loader_with_processes_of_its_own_sees_the_same(torch, pool, start):
    loader = torch.utils.data.DataLoader(pool.torch(), batch_size=4, num_workers=2, multiprocessing_context=start)
    images = torch.cat(list(loader))
    assert np.array_equal((images * 255).round().numpy().astype(np.uint8), IMAGES[ROWS].transpose(0, 3, 1, 2))


@pytest.mark.slow
def test_a_loader_with_processes_works_inside_a_worker_and_leaves_the_market_alone(torch, strategy, session, told):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            from torch.utils.data import DataLoader
            seen = sum(len(batch) for batch in DataLoader(unlabelled_dataset.torch(), batch_size=16, num_workers=2))
            unlabelled_dataset.purchase_label(3)
            tell(seen)
    """)
    result = session(path)
    assert result.verdict == "OK", result.reason
    assert told(result) == [80]
    assert len(result.ledger) == 1
