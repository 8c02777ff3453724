"""timm's pretrained files in the cache of Hugging Face's hub: where they lie, how they come there, and what is in them.

Nothing is fetched that is not asked for by name, and only safetensors files are read: they hold numbers, no code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import huggingface_hub
from torch import Tensor

from evaluator.errors import WeightsError
from evaluator.training.network import TimmNetwork, timm_that_knows
from evaluator.training.pipeline import TIMM_PREFIX

FILE = "model.safetensors"
FEATURES = "features."
CONNECT_SECONDS = 10.0


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
    if configuration is None or not configuration.hf_hub_id or (configuration.hf_hub_filename or FILE) != FILE:
        raise WeightsError(
            f"timm names no file {FILE} of pretrained weights for {name}; choose a model or tag that has one, give `weights: "
            "FILE`, or use `weights: none`"
        )
    repository, _, revision = configuration.hf_hub_id.partition("@")
    folder = Path(cache if cache is not None else huggingface_hub.constants.HF_HUB_CACHE)
    where = {"repo_id": repository, "filename": FILE, "revision": revision or None}
    found = huggingface_hub.try_to_load_from_cache(**where, cache_dir=folder)
    if not isinstance(found, str):  # None, or a mark that the hub has no such file
        try:
            # Asked once before the download, which tries again for half a minute where there is no network.
            huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(**where), timeout=CONNECT_SECONDS)
            found = huggingface_hub.hf_hub_download(**where, cache_dir=folder)
        # The hub's errors, and those of its client's connection, are OSErrors or carry the client's own base class.
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and not type(error).__module__.startswith(("httpx", "httpcore")):
                raise
            by_hand = folder / f"models--{repository.replace('/', '--')}" / "snapshots" / (revision or "main") / FILE
            raise WeightsError(
                f"the ImageNet weights of {name} are not in {folder} and cannot be fetched from "
                f"https://huggingface.co/{repository} ({type(error).__name__}: {_short(error)}). Ways out: put that page's file "
                f"{FILE} at {by_hand} (docs/weights.md says how); or give its path as `weights: FILE.safetensors`; or use "
                "`weights: none` (start from random weights)"
            ) from error
    return Path(found)


def expected_sha256(path: Path) -> str | None:
    """The SHA-256 that the cache knows a file by (its blob's name), or ``None`` for a file that was put there by hand."""
    blob = path.resolve().name
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None


def as_features(model: TimmNetwork, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under timm's names, or under ours, as the feature layers of ``model``: without the classifier, fitted to its size.

    Position embeddings of another grid are resampled as timm does it (bicubic, antialiased).

    Raises:
        WeightsError: timm cannot make weights of this model out of them.
    """
    if all(name.startswith(FEATURES) for name in state):
        state = {name.removeprefix(FEATURES): tensor for name, tensor in state.items()}
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
    return {f"{FEATURES}{name}": tensor for name, tensor in state.items() if name not in head}


def _short(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason given"
