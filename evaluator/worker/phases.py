"""Calls a participant's hooks by keyword, with the keywords that their signatures accept, and reads what they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .plain import is_lazy, kind_of


class SignatureMismatch(TypeError):
    """A hook needs an argument that is not on offer."""


class NotRun(TypeError):
    """A hook was called, and nothing of it ran: it is a generator or a coroutine."""


class InvalidOutput(TypeError):
    """A phase returned something that the rules do not ask for. The evaluator knows it by this name."""


NO_ALIASES: Mapping[str, tuple[str, ...]] = {}


def keywords_for(
    hook: Callable[..., Any], offered: Mapping[str, Any], aliases: Mapping[str, tuple[str, ...]] = NO_ALIASES
) -> dict[str, Any]:
    """The part of ``offered`` (kit's names) that ``hook`` accepts, under the names it uses.

    ``**kwargs`` gets what the hook does not name itself, each thing once and under the kit's name: a wrapper that hands its
    ``**kwargs`` on would otherwise give the same thing twice.

    Args:
        aliases: per name on offer, the names under which a hook may ask for it; a name that is not listed has itself alone.

    Raises:
        SignatureMismatch: a required argument is not among the names offered, or can only be passed by position.
    """
    names = {alias: name for name in offered for alias in aliases.get(name, (name,))}
    chosen: dict[str, Any] = {}
    taken: set[str] = set()
    for name, parameter in inspect.signature(hook).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            return {**chosen, **{name: value for name, value in offered.items() if name not in taken}}
        if parameter.kind is not parameter.POSITIONAL_ONLY and name in names:
            chosen[name] = offered[names[name]]
            taken.add(names[name])
        elif parameter.default is parameter.empty:
            hint = "by keyword, and this argument is positional only" if parameter.kind is parameter.POSITIONAL_ONLY else "by name"
            raise SignatureMismatch(
                f"{getattr(hook, '__name__', 'the hook')} asks for {name!r}; arguments are passed {hint}. "
                f"On offer here: {', '.join(sorted(names))}"
            )
    return chosen


def check_runs(name: str, value: Any) -> None:
    """Refuse a hook that does nothing when it is called.

    Args:
        name: of the hook. ``value``: the hook, before it is called, or what it returned.

    Raises:
        NotRun: it is a generator, a coroutine or an asynchronous generator, or returned such an object, or a ``map`` or the like.
    """
    kinds = (
        (inspect.isasyncgenfunction, inspect.isasyncgen, "an asynchronous generator", "Write a plain def without a yield"),
        (inspect.iscoroutinefunction, inspect.isawaitable, "a coroutine", "Write a plain def; call asyncio.run within it"),
        (inspect.isgeneratorfunction, inspect.isgenerator, "a generator", "Remove the yield, or write [...] in place of (...)"),
    )
    for is_function, is_object, what, advice in kinds:
        if is_function(value) or is_object(value):
            verb = "is" if is_function(value) else "returned"
            if inspect.iscoroutine(value) or inspect.isgenerator(value):
                value.close()  # or Python warns that it was never awaited
            raise NotRun(f"{name} {verb} {what}, of which nothing runs; a method that does its work was expected. {advice}")
    if is_lazy(value):
        advice = f"Write list({type(value).__name__}(...)), or a loop"
        raise NotRun(f"{name} returned {kind_of(value)}, of which nothing has run yet; values were expected. {advice}")


def prediction_array(value: Any, dataset: Any) -> np.ndarray:
    """Predictions as float64 (images, classes), rows in the order of the data set. The rule, in full:

    - By row: an array, a tensor of torch on any device, nested lists, a list of arrays or tensors; a row per image, in order.
    - By image: a dict from ``idx`` to row, a list of dicts with ``idx`` and ``label``, or a data frame whose index is the ``idx``;
      in any order, every image exactly once. A list of dicts without ``idx`` is taken by row.
    - Values are bools, integers or floats of any width. Texts, complex numbers and None are refused.

    Raises:
        InvalidOutput: the value cannot be read by this rule. Shape and range are the evaluator's to check.
    """
    try:
        return _numbers(_rows(value, dataset))
    except Exception as error:
        wanted = f"an array of shape ({len(dataset)}, {len(dataset.classes)}) with 0/1 or probabilities was expected"
        why = "" if value is None else f" that cannot be read ({error})"
        raise InvalidOutput(f"prediction_phase returned {kind_of(value)}{why}; {wanted}") from error


def _rows(value: Any, dataset: Any) -> Any:
    """The rows of predictions in the order of the data set."""
    if value is None:
        raise TypeError("nothing to read")
    if isinstance(value, Iterator):
        raise TypeError("it gives its values one by one; return a list of them")
    if isinstance(value, Mapping):
        return _by_image([int(index) for index in value], list(value.values()), dataset)
    if isinstance(value, (list, tuple)) and value and all(isinstance(row, Mapping) and "label" in row for row in value):
        rows, numbered = [row["label"] for row in value], sum("idx" in row for row in value)
        if 0 < numbered < len(value):
            raise ValueError(f"{numbered} of {len(value)} items have an idx; give it to all of them, or to none")
        return _by_image([int(row["idx"]) for row in value], rows, dataset) if numbered else rows
    if hasattr(value, "iloc") and hasattr(value, "index"):
        numbers = np.asarray(value.index)
        if numbers.ndim == 1 and len(numbers) == len(dataset) and np.array_equal(np.sort(numbers), np.sort(dataset.indices)):
            place = {int(number): row for row, number in enumerate(numbers)}
            return np.asarray(value)[[place[int(number)] for number in dataset.indices]]
    return value


def _by_image(numbers: list[int], rows: list[Any], dataset: Any) -> list[Any]:
    found = dict(zip(numbers, rows, strict=True))
    wanted = [int(number) for number in dataset.indices]
    for missing in (number for number in wanted if number not in found):
        raise ValueError(f"the image with idx {missing} is missing")
    for extra in set(found) - set(wanted):
        raise ValueError(f"there is no image with idx {extra}")
    if len(numbers) != len(found):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise ValueError(f"the image with idx {twice} comes twice")
    return [found[number] for number in wanted]


def _numbers(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = _from_tensor(value)
    elif isinstance(value, (list, tuple)):
        value = _from_list(value)
    array = np.asarray(value)
    if array.dtype.kind == "O":
        array = np.asarray(array.tolist())  # e.g. columns of a data frame that differ in type
    if array.dtype.kind not in "biuf":
        raise TypeError(f"its values are of the type {array.dtype}; bools, integers or floats were expected")
    return np.ascontiguousarray(array, dtype=np.float64)


def _from_list(rows: Iterable[Any]) -> np.ndarray:
    return np.asarray([_from_tensor(row) if hasattr(row, "detach") else np.asarray(row) for row in rows])


def _from_tensor(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    # NumPy has no bfloat16, and knows neither conjugated nor sparse tensors; float64 holds what the smaller floats hold.
    return (tensor.double() if str(getattr(tensor, "dtype", "")) == "torch.bfloat16" else tensor).numpy()
