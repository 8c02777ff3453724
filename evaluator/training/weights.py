"""Starting weights of the feature layers: the kit's own, ImageNet's, those of a package, a file's, or none.

Whatever is loaded is checked whole before the model is touched, and named by the SHA-256 of its file, so that a result can say what
it started from. Nothing here ever falls back to something else: weights that cannot be had are an error that names the ways out.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import huggingface_hub
import safetensors
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from evaluator.errors import WeightsError
from evaluator.files import write_bytes
from evaluator.training import lite
from evaluator.training.network import HEAD_PREFIX, TimmNetwork, feature_state, timm_that_knows
from evaluator.training.pipeline import PROCEDURAL_ARCHITECTURE, TIMM_PREFIX

PROCEDURAL_FILE = Path(__file__).parent / "weights_data" / f"procedural-{PROCEDURAL_ARCHITECTURE}.safetensors"
PROCEDURAL_SHA256 = "69dd25cf9bb033b6b3777bd98d20a41c034c45048104c2b81914c146739bedd2"
"""SHA-256 of the committed file. A change of the file is a change of every result that started from it."""

HUB_FILE = "model.safetensors"
"""What a file of weights is called in timm's repositories on Hugging Face's hub."""
_FEATURES = "features."
_CONNECT_SECONDS = 10.0

WAYS_OUT = (
    f"use `weights: procedural` (the kit's own for {PROCEDURAL_ARCHITECTURE}, no network needed) or `weights: none` (start from "
    "random weights)"
)


def load_starting_weights(
    model: nn.Module, weights: str, architecture: str, *, torch_home: Path | None = None, hub_cache: Path | None = None
) -> str:
    """Load the feature layers of ``model`` from the named weights; the head keeps its own start.

    Args:
        model: a network of ``build_network``, on any device; float16 weights are widened to the model's own type.
        weights: ``"procedural"`` (the file that comes with the kit), ``"imagenet"`` (torchvision's from torch's cache, or timm's
            from the hub's, fetched once where there is a network), ``"pypi"`` (ImageNet's from an installed package, see
            ``lite``), ``"none"``, or the path of a ``.safetensors`` file, which may be one of timm's own for a model of timm; the
            head of such a file is left out.
        architecture: the name that ``model`` was built by.
        torch_home: where torch's cache is looked for, instead of ``$TORCH_HOME``.
        hub_cache: where the hub's cache is looked for, instead of ``$HF_HUB_CACHE``.

    Returns:
        The identity to store with a result: ``"none"`` or ``"sha256:<64 hex digits>"`` of the file.

    Raises:
        WeightsError: the weights cannot be had, or are not those of this network; the model is unchanged.
    """
    path = _file(weights, architecture, torch_home, hub_cache)
    if path is None:
        return "none"
    identity = _identity(path, weights)
    state = _read_pickled(path) if weights == "pypi" or path.suffix == ".pth" else read_safetensors(path)
    if weights == "pypi":
        state = lite.timm_names(state, _untagged(architecture))
    if isinstance(model, TimmNetwork):
        state = _as_features(model, state)
    _copy_features(model, state, path)
    return identity


def starting_weights_identity(
    weights: str, architecture: str, *, torch_home: Path | None = None, hub_cache: Path | None = None
) -> str:
    """What ``load_starting_weights`` will return, found before any other work is done.

    Raises:
        WeightsError: the weights cannot be had.
    """
    path = _file(weights, architecture, torch_home, hub_cache)
    return "none" if path is None else _identity(path, weights)


def _file(weights: str, architecture: str, torch_home: Path | None, hub_cache: Path | None) -> Path | None:
    if weights == "none":
        return None
    if weights == "imagenet":
        if architecture.startswith(TIMM_PREFIX):
            return pretrained_file(architecture, hub_cache)
        return _imagenet_file(architecture, torch_home)
    if weights == "pypi":
        return lite.package_file(_untagged(architecture))
    return _procedural_file(architecture) if weights == "procedural" else _named_file(weights)


def _untagged(architecture: str) -> str:
    return architecture.partition(".")[0]


def _identity(path: Path, weights: str) -> str:
    digest = file_sha256(path)
    if weights == "procedural" and digest != PROCEDURAL_SHA256:
        raise WeightsError(
            f"{path} has the SHA-256 {digest}, expected {PROCEDURAL_SHA256}; restore it (`git checkout -- {path.name}` in its "
            f"folder), or name it by its path to use it as it is"
        )
    pinned = {package.file.rpartition("/")[2]: package.sha256 for package in lite.PACKAGES.values()}
    named = _expected_sha256(path) if weights == "imagenet" else pinned[path.name] if weights == "pypi" else None
    if named is not None and digest != named:
        raise WeightsError(
            f"{path} has the SHA-256 {digest}, expected {named}: it is truncated or another file. Delete {path.resolve()} and "
            f"fetch it again; or {WAYS_OUT}"
        )
    return f"sha256:{digest}"


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, on the CPU, in the types they were stored in.

    Raises:
        WeightsError: the file cannot be read or is not a whole safetensors file.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} cannot be read as safetensors ({error}); expected a whole file as `python -m evaluator weights make` writes "
            f"it. Copy it again, or {WAYS_OUT}"
        ) from error


def write_features(model: nn.Module, path: Path, description: str) -> str:
    """Write the feature layers of ``model`` to ``path`` and return the file's SHA-256.

    Weights of convolutions and linear layers (two dimensions or more) are stored as float16, all others (batch normalisation,
    biases) as they are: they are few, and running variances may leave float16's range. The file appears whole or not at all.
    ``description`` is kept in the file's header under the one key ``made``.

    Raises:
        WeightsError: a value is not finite, or a weight is beyond float16.
    """
    state = {}
    for name, tensor in feature_state(model).items():
        stored = tensor.detach().to("cpu", torch.float16 if tensor.ndim >= 2 else tensor.dtype).contiguous()
        if not torch.isfinite(stored).all():
            raise WeightsError(f"{name} holds values that are not finite in {stored.dtype}; the weights are not written")
        state[name] = stored
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not save_file: it makes the file readable by its owner alone. One key of metadata, since several come in any order and the
    # same weights would then have many hashes.
    write_bytes(path, safetensors.torch.save(state, metadata={"made": description}))
    return file_sha256(path)


def _procedural_file(architecture: str) -> Path:
    if architecture != PROCEDURAL_ARCHITECTURE:
        raise WeightsError(
            f"`weights: procedural` exists for {PROCEDURAL_ARCHITECTURE}, not for {architecture}; make them with `python -m "
            f"evaluator weights make --architecture {architecture} --out FILE` and give `weights: FILE`, or use "
            f"`weights: imagenet` or `weights: none`"
        )
    if not PROCEDURAL_FILE.is_file():
        raise WeightsError(
            f"{PROCEDURAL_FILE} does not exist: this copy of the kit has no procedural weights. Make them with `python "
            f"-m evaluator weights make --out FILE` and give `weights: FILE`, or use `weights: none`"
        )
    return PROCEDURAL_FILE


def _named_file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"weights {weights!r} are not known; expected procedural, imagenet, pypi, none, or the path of a .safetensors file"
        )
    if not path.is_file():
        raise WeightsError(f"the weights file {path} does not exist; check the path, or {WAYS_OUT}")
    return path


def _imagenet_file(architecture: str, torch_home: Path | None) -> Path:
    """The checkpoint in torch's cache, fetched if it is not there; its name holds the first digits of its SHA-256."""
    url = torchvision.models.get_model_weights(architecture)["IMAGENET1K_V1"].url
    name = url.rsplit("/", 1)[-1]
    matched = re.search(r"-([0-9a-f]{8,})\.pth$", name)
    if matched is None:
        raise WeightsError(f"torchvision names its weights {name}, without a hash to check them by; {WAYS_OUT}")
    prefix = matched.group(1)
    folder = (Path(torch_home) / "hub" if torch_home is not None else Path(torch.hub.get_dir())) / "checkpoints"
    path = folder / name
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
        except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash is a RuntimeError
            raise WeightsError(
                f"the ImageNet weights of {architecture} are not in {folder} and cannot be fetched from {url} ({error}). Ways out: "
                f"put the file {name}, whose SHA-256 begins with {prefix}, into {folder}; or {WAYS_OUT}"
            ) from error
    digest = file_sha256(path)
    if not digest.startswith(prefix):
        raise WeightsError(
            f"{path} has a SHA-256 that begins with {digest[: len(prefix)]}, expected {prefix}: it is truncated or another file. "
            f"Delete it and put the right file there ({url}); or {WAYS_OUT}"
        )
    return path


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{path} cannot be read as a torch checkpoint ({error}); delete it and fetch it again, or {WAYS_OUT}"
        ) from error


def _copy_features(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    wanted = feature_state(model)
    given = {name: tensor for name, tensor in state.items() if not name.startswith(HEAD_PREFIX)}
    missing, foreign = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or foreign:
        raise WeightsError(
            f"{path} holds other layers than this network: {len(missing)} missing (first: {_first(missing)}), {len(foreign)} "
            f"unknown (first: {_first(foreign)}); give weights that were made for this architecture, or {WAYS_OUT}"
        )
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsError(
                f"{path}: {name} has the shape {tuple(tensor.shape)}, expected {tuple(wanted[name].shape)}; give weights that were "
                f"made for this architecture, or {WAYS_OUT}"
            )
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} holds values that are not finite; make or copy the file again, or {WAYS_OUT}")
    with torch.no_grad():
        for name, tensor in given.items():
            wanted[name].copy_(tensor)


def _first(names: list[str]) -> str:
    return names[0] if names else "none"


# -- timm's models in the cache of Hugging Face's hub: only safetensors files are read, which hold numbers and no code


def pretrained_file(architecture: str, cache: Path | None = None) -> Path:
    """The weights of ``timm/<name>[.tag]`` in the hub's cache, fetched if they are not there; without a tag, timm's first choice.

    Args:
        architecture: with its prefix ``timm/``.
        cache: the folder of the cache, instead of ``$HF_HUB_CACHE`` (by default ``~/.cache/huggingface/hub``).

    Raises:
        ConfigurationError: timm has no such model or tag.
        WeightsError: there are no weights of that model, they cannot be fetched, or the cached file is broken.
    """
    name = architecture.removeprefix(TIMM_PREFIX)
    configuration = timm_that_knows(name).get_pretrained_cfg(name)
    if configuration is None or not configuration.hf_hub_id or (configuration.hf_hub_filename or HUB_FILE) != HUB_FILE:
        raise WeightsError(
            f"timm names no file {HUB_FILE} of pretrained weights for {name}; choose a model or tag with such a file, give "
            "`weights: FILE`, or use `weights: none`"
        )
    repository, _, revision = configuration.hf_hub_id.partition("@")
    folder = Path(cache if cache is not None else huggingface_hub.constants.HF_HUB_CACHE)
    where = {"repo_id": repository, "filename": HUB_FILE, "revision": revision or None}
    found = huggingface_hub.try_to_load_from_cache(**where, cache_dir=folder)
    if not isinstance(found, str):  # None, or a mark that the hub has no such file
        try:
            # Asked once before the download, which tries again for half a minute where there is no network.
            huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(**where), timeout=_CONNECT_SECONDS)
            found = huggingface_hub.hf_hub_download(**where, cache_dir=folder)
        # The hub's errors, and those of its client's connection, are OSErrors or carry the client's own base class.
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and not type(error).__module__.startswith(("httpx", "httpcore")):
                raise
            by_hand = folder / f"models--{repository.replace('/', '--')}" / "snapshots" / (revision or "main") / HUB_FILE
            raise WeightsError(
                f"the ImageNet weights of {name} are not in {folder} and cannot be fetched from "
                f"https://huggingface.co/{repository} ({type(error).__name__}: {_short(error)}). Ways out: put that page's file "
                f"{HUB_FILE} at {by_hand} (docs/weights.md says how); or give its path as `weights: FILE.safetensors`; or use "
                "`weights: none` (start from random weights)"
            ) from error
    return Path(found)


def _expected_sha256(path: Path) -> str | None:
    """The SHA-256 that the cache knows a file by (its blob's name), or ``None`` for a file that was put there by hand."""
    blob = path.resolve().name
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None


def _as_features(model: TimmNetwork, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under timm's names, or under ours, as the feature layers of ``model``: without the classifier, fitted to its size.

    Position embeddings of another grid are resampled as timm does it (bicubic, antialiased).

    Raises:
        WeightsError: timm cannot make weights of this model out of them.
    """
    if all(name.startswith(_FEATURES) for name in state):
        state = {name.removeprefix(_FEATURES): tensor for name, tensor in state.items()}
    fit = getattr(sys.modules[type(model.features).__module__], "checkpoint_filter_fn", None)
    if fit is not None:
        try:
            state = fit(dict(state), model.features)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError, AssertionError) as error:
            kind = type(model.features).__name__
            raise WeightsError(
                f"timm cannot make weights of a {kind} out of the file ({type(error).__name__}: {error}); give a file that was "
                "made for this architecture, or use `weights: none`"
            ) from error
    head = {f"{model.timm_head}.weight", f"{model.timm_head}.bias"}
    return {f"{_FEATURES}{name}": tensor for name, tensor in state.items() if name not in head}


def _short(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason given"
