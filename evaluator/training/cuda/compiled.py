"""A network's training passes through torch's compiler, which joins its small operations into few kernels.

Compiling takes a minute or two for every network, size of image and size of batch. What was compiled is kept in the kit's folder
of caches, so that a later process starts from it. Numbers differ from those of a network that is not compiled, by rounding; so a
recipe says ``compiled``, and a run never decides by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.errors import ConfigurationError
from evaluator.places import data_place
from evaluator.text import one_line
from evaluator.training.memory import shortage_in

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch keeps what it compiled; what a person set stays."""
REASON = 200
"""Characters of what the compiler says."""
SIZES = 64
"""Kinds of network, image and batch that one process compiles, at most; after so many torch would quietly compile no more."""


def compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """What gives the model's outputs in training mode, compiled at the first call with every shape. The model stays as it is.

    Random numbers are drawn as without a compiler, and choices that could change a sum's order are made without timing anything,
    so that results repeat.

    Raises (the function that is given):
        ConfigurationError: torch cannot compile here.
    """
    os.environ.setdefault(VARIABLE, str(data_place() / ".cache" / "compiled"))
    torch._dynamo.config.recompile_limit = max(SIZES, torch._dynamo.config.recompile_limit)
    options: dict[str, Any] = {"fallback_random": True, "deterministic": True}
    made = torch.compile(model, dynamic=False, options=options)

    def forward(x: Tensor) -> Tensor:
        try:
            return made(x)
        except torch._dynamo.exc.TorchDynamoException as error:
            if (shortage := shortage_in(error)) is not None:
                raise shortage from error
            raise ConfigurationError(
                f"the recipe is compiled, and torch cannot compile here ({one_line(error, REASON)}); it needs a compiler for C "
                "(Debian: gcc) and Python's headers (python3-dev). Install them, or take the pipeline without +compiled"
            ) from error

    return forward
