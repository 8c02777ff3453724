"""Calls a participant's hooks by keyword, with the keywords that their signatures accept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class SignatureMismatch(TypeError):
    """A hook needs an argument that no round offers."""


class InvalidOutput(TypeError):
    """A phase returned something that is not what the round asks for."""


# The first name is the kit's own; the others are what submissions of 2022 and plain spelling use for the same thing.
ALIASES: dict[str, tuple[str, ...]] = {
    "training_dataset": ("training_dataset", "train_dataset"),
    "unlabelled_dataset": ("unlabelled_dataset", "unlabeled_dataset"),
    "test_dataset": ("test_dataset",),
    "budget": ("budget", "purchase_budget"),
    "time_available": ("time_available", "compute_budget"),
    "register_progress": ("register_progress",),
    "seed": ("seed",),
}


def keywords_for(hook: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``offered`` (kit's names) that ``hook`` accepts, under the names it uses; all of it for ``**kwargs``.

    Raises:
        SignatureMismatch: a required argument is not among the names offered, or can only be passed by position.
    """
    spelled = {alias: value for name, value in offered.items() for alias in ALIASES[name]}
    chosen: dict[str, Any] = {}
    for name, parameter in inspect.signature(hook).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            return {**spelled, **chosen}
        if parameter.kind is not parameter.POSITIONAL_ONLY and name in spelled:
            chosen[name] = spelled[name]
        elif parameter.default is parameter.empty:
            hint = "by keyword, and this one is positional only" if parameter.kind is parameter.POSITIONAL_ONLY else "by name"
            raise SignatureMismatch(
                f"{getattr(hook, '__name__', 'the hook')} asks for {name!r}; arguments are passed {hint}. "
                f"On offer here: {', '.join(sorted(spelled))}"
            )
    return chosen


def purchase_claim(value: Any, n_classes: int) -> tuple[np.ndarray, np.ndarray | None] | None:
    """What ``purchase_phase`` says it bought, where its return value says so in a form that is understood.

    Understood: a dict from index to label, a sequence of indices, a sequence of items (dicts with ``idx`` and maybe ``label``).

    Returns:
        (int64 indices (m,), uint8 labels (m, classes) or None), or None where nothing was claimed or understood.
    """
    try:
        if isinstance(value, Mapping):
            indices = np.array([int(key) for key in value], np.int64)
            return indices, _claimed_labels(list(value.values()), len(indices), n_classes)
        if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
            members = list(value)
            if members and all(isinstance(member, Mapping) and "idx" in member for member in members):
                indices = np.array([int(member["idx"]) for member in members], np.int64)
                return indices, _claimed_labels([member.get("label") for member in members], len(indices), n_classes)
            if all(isinstance(member, (int, np.integer)) and not isinstance(member, bool) for member in members):
                return np.array(members, np.int64), None
    except Exception:  # it is the participant's own object, whose methods may raise anything
        # The return value is optional and never used for the score, so a form that is not understood is no claim, not an error.
        return None
    return None


def _claimed_labels(values: list[Any], n: int, n_classes: int) -> np.ndarray | None:
    labels = np.asarray([np.asarray(v).reshape(-1) for v in values]) if n else np.zeros((0, n_classes))
    if labels.dtype == object or labels.shape != (n, n_classes) or not np.isin(labels, (0, 1)).all():
        return None
    return labels.astype(np.uint8)


def prediction_array(value: Any, dataset: Any) -> np.ndarray:
    """Predictions as float64 (images, classes), from an array, a torch tensor, nested lists, a data frame, or a dict by ``idx``.

    Raises:
        InvalidOutput: the value cannot be read as numbers. Shape and range are the evaluator's to check.
    """
    try:
        return _as_numbers(value, dataset)
    except Exception as error:
        wanted = f"an array of shape ({len(dataset)}, {len(dataset.classes)}) with 0/1 or probabilities was expected"
        raise InvalidOutput(
            f"prediction_phase returned a {type(value).__name__} that cannot be read ({error}); {wanted}"
        ) from error


def _as_numbers(value: Any, dataset: Any) -> np.ndarray:
    if value is None:
        raise TypeError("nothing was returned")
    if isinstance(value, Mapping):
        value = [value[int(index)] for index in dataset.indices]
    elif isinstance(value, (list, tuple)) and value and all(isinstance(v, Mapping) and "label" in v for v in value):
        value = [v["label"] for v in value]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        value = [row.detach().cpu().numpy() if hasattr(row, "detach") else np.asarray(row) for row in value]
    return np.ascontiguousarray(np.asarray(value), dtype=np.float64)
