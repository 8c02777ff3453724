"""The isolation tiers by name, and the choice between them.

``auto`` takes the strongest tier that passes its self-check here. bubblewrap comes before docker: both promise the same, and a room
of bubblewrap is ready in tens of milliseconds, a container needs about a second and a root daemon. A tier that is asked for by name
is used or refused; it is never silently replaced by a weaker tier.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from evaluator.errors import ConfigurationError
from evaluator.sandbox.conformance.selfcheck import SelfCheck, self_check
from evaluator.sandbox.tier import Sandbox


def _process(gpu: bool) -> Sandbox:
    from evaluator.sandbox.process import ProcessSandbox

    return ProcessSandbox(gpu=gpu)


def _bubblewrap(gpu: bool) -> Sandbox:
    from evaluator.sandbox.bubblewrap import BubblewrapSandbox

    return BubblewrapSandbox(gpu=gpu)


def _docker(gpu: bool) -> Sandbox:
    from evaluator.sandbox.docker import DockerSandbox

    return DockerSandbox(gpu=gpu)


SANDBOXES: dict[str, Callable[[bool], Sandbox]] = {"bubblewrap": _bubblewrap, "docker": _docker, "process": _process}
"""Makes a tier; the argument says whether the worker needs the GPU. Strongest first; of equally strong tiers the cheaper first."""

WAYS = {
    "process": "it needs nothing but a POSIX system; run `python -m evaluator doctor --sandbox process` to see what fails",
    "bubblewrap": "it needs Linux 5.12, bwrap and libseccomp (Debian: apt-get install bubblewrap libseccomp2), and either root or a"
    " kernel that lets users make namespaces (sysctl kernel.unprivileged_userns_clone=1,"
    " kernel.apparmor_restrict_unprivileged_userns=0)",
    "docker": "it needs a running Docker engine that this user may use (Debian: apt-get install docker.io) and the project's image:"
    " see docs/organisers.md",
}
"""How to get a tier."""


@functools.cache
def state(name: str, gpu: bool = False) -> SelfCheck:
    """Make the tier and run its self-check, once per process."""
    try:
        return self_check(SANDBOXES[name](gpu))
    except (OSError, ConfigurationError) as error:
        return SelfCheck(str(error))


def choose(name: str = "auto", *, gpu: bool = False) -> Sandbox:
    """The tier ``name``, or with ``auto`` the first of ``SANDBOXES`` that passes its self-check.

    Args:
        gpu: the worker needs the GPU.

    Raises:
        ConfigurationError: there is no such tier, or it does not work here; the message says why and how to get it.
    """
    if name != "auto" and name not in SANDBOXES:
        raise ConfigurationError(f"there is no isolation tier {name!r}; choose one of auto, {', '.join(SANDBOXES)}")
    reasons = []
    for tier in SANDBOXES if name == "auto" else (name,):
        reason = state(tier, gpu).reason
        if not reason:
            return SANDBOXES[tier](gpu)
        reasons.append(f"the isolation tier {tier} does not work here: {reason}; {WAYS[tier]}")
    raise ConfigurationError("\n".join(reasons))
