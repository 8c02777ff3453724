"""Calls a participant's hooks by keyword, with the keywords that their signatures accept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


class SignatureMismatch(TypeError):
    """A hook needs an argument that is not on offer."""


class InvalidOutput(TypeError):
    """A phase returned something that the rules do not ask for. The evaluator knows it by this name."""


NO_ALIASES: Mapping[str, tuple[str, ...]] = {}


def keywords_for(
    hook: Callable[..., Any], offered: Mapping[str, Any], aliases: Mapping[str, tuple[str, ...]] = NO_ALIASES
) -> dict[str, Any]:
    """The part of ``offered`` (kit's names) that ``hook`` accepts, under the names it uses; all of it for ``**kwargs``.

    Args:
        aliases: per name on offer, the names under which a hook may ask for it; a name that is not listed has itself alone.

    Raises:
        SignatureMismatch: a required argument is not among the names offered, or can only be passed by position.
    """
    spelled = {alias: value for name, value in offered.items() for alias in aliases.get(name, (name,))}
    chosen: dict[str, Any] = {}
    for name, parameter in inspect.signature(hook).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            return {**spelled, **chosen}
        if parameter.kind is not parameter.POSITIONAL_ONLY and name in spelled:
            chosen[name] = spelled[name]
        elif parameter.default is parameter.empty:
            hint = "by keyword, and this argument is positional only" if parameter.kind is parameter.POSITIONAL_ONLY else "by name"
            raise SignatureMismatch(
                f"{getattr(hook, '__name__', 'the hook')} asks for {name!r}; arguments are passed {hint}. "
                f"On offer here: {', '.join(sorted(spelled))}"
            )
    return chosen
