"""No network: whatever asks for it is told that there is none. Processes import it, so nothing of pytest."""

from __future__ import annotations

import huggingface_hub
import slot_works
import torch

from evaluator.runner.workers import Judging
from evaluator.track import Judged

ASKS = ((huggingface_hub, "get_hf_file_metadata"), (huggingface_hub, "hf_hub_download"), (torch.hub, "download_url_to_file"))
"""What asks for the network: module and name."""


def unreachable(*_: object, **__: object) -> None:
    raise OSError("no route to host")


def judged(task: Judging) -> Judged:
    """The work of a run, in a process that has no network."""
    for module, name in ASKS:
        setattr(module, name, unreachable)
    return slot_works.anew(task)
