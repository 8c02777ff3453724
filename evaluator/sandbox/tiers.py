"""The isolation tiers by name, and the choice between them.

``auto`` takes the strongest tier that passes its self-check here. bubblewrap comes before docker: both promise the same, and a room
of bubblewrap is ready in tens of milliseconds, a container needs about a second and a root daemon. landlock is the process tier
under rules of the kernel's, where neither can be made. A tier that is asked for by name
is used or refused; it is never silently replaced by a weaker tier.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from evaluator.errors import ConfigurationError
from evaluator.sandbox.conformance.selfcheck import SelfCheck, self_check
from evaluator.sandbox.readonly import allow_descriptors
from evaluator.sandbox.tier import PROMISES, Sandbox


def _process(gpu: bool) -> Sandbox:
    from evaluator.sandbox.process import ProcessSandbox

    return ProcessSandbox(gpu=gpu)


def _bubblewrap(gpu: bool) -> Sandbox:
    from evaluator.sandbox.bubblewrap import BubblewrapSandbox

    return BubblewrapSandbox(gpu=gpu)


def _docker(gpu: bool) -> Sandbox:
    from evaluator.sandbox.docker import DockerSandbox

    return DockerSandbox(gpu=gpu)


def _landlock(gpu: bool) -> Sandbox:
    from evaluator.sandbox.landlocked import LandlockSandbox

    return LandlockSandbox(gpu=gpu)


SANDBOXES: dict[str, Callable[[bool], Sandbox]] = {
    "bubblewrap": _bubblewrap,
    "docker": _docker,
    "landlock": _landlock,
    "process": _process,
}
"""Makes a tier; the argument says whether the worker needs the GPU. Strongest first; of equally strong tiers the cheaper first."""

WAYS = {
    "process": "it needs nothing but a POSIX system; run `python -m evaluator doctor --sandbox process` to see what fails",
    "bubblewrap": "it needs Linux 5.12, bwrap and libseccomp (Debian: apt-get install bubblewrap libseccomp2), and either root or a"
    " kernel that lets users make namespaces (sysctl kernel.unprivileged_userns_clone=1,"
    " kernel.apparmor_restrict_unprivileged_userns=0)",
    "landlock": "it needs Linux 6.2 with Landlock in its list of security modules (/sys/kernel/security/lsm), and libseccomp"
    " (Debian: apt-get install libseccomp2)",
    "docker": "it needs a running Docker engine that this user may use (Debian: apt-get install docker.io) and the project's image:"
    " see docs/organisers.md",
}
"""How to get a tier."""


@functools.cache
def state(name: str, gpu: bool = False) -> SelfCheck:
    """Make the tier and run its self-check, once per process. Where it fails, the tier may know why."""
    try:
        sandbox = SANDBOXES[name](gpu)
        seen = self_check(sandbox)
    except (OSError, ConfigurationError) as error:
        return SelfCheck(str(error))
    hindrance: Callable[[], tuple[str, str] | None] = getattr(sandbox, "hindrance", lambda: None)
    if seen.reason and (known := hindrance()) is not None:
        return SelfCheck(known[0], way=known[1])
    return seen


def why_not(name: str, gpu: bool = False) -> str:
    """Why a tier does not work here, and how to get it; empty if it works."""
    seen = state(name, gpu)
    return f"{seen.reason}; {seen.way or WAYS[name]}" if seen.reason else ""


def passed_over(name: str, *, gpu: bool = False) -> str:
    """Why ``auto`` took no stronger tier than ``name``, in a sentence; empty if there is no stronger one."""
    strongest = next(iter(SANDBOXES))
    if name == strongest or name not in SANDBOXES or SANDBOXES[name](gpu).promises >= PROMISES.keys():
        return ""
    why = why_not(strongest, gpu)
    weak = (
        "hides the contents of your files and little else: judge strangers in a stronger tier"
        if "contents" in SANDBOXES[name](gpu).promises
        else "hides nothing that this user can read: judge your own code only"
    )
    return f"isolation: auto took {name}, which {weak}. {strongest}: {why}."


def exposed(sandbox: Sandbox) -> str:
    """What a tier leaves open on this machine although it promises something, in a sentence; empty if nothing was found.

    A tier that promises nothing has nothing to say here: nobody may rely on it.
    """
    said: Callable[[], str] = getattr(sandbox, "exposed", lambda: "")
    return said()


def choose(name: str = "auto", *, gpu: bool = False) -> Sandbox:
    """The tier ``name``, or with ``auto`` the first of ``SANDBOXES`` that passes its self-check.

    Args:
        gpu: the worker needs the GPU.

    Raises:
        ConfigurationError: there is no such tier, or it does not work here; the message says why and how to get it.
    """
    if name != "auto" and name not in SANDBOXES:
        raise ConfigurationError(f"there is no isolation tier {name!r}; choose one of auto, {', '.join(SANDBOXES)}")
    allow_descriptors()
    reasons = []
    for tier in SANDBOXES if name == "auto" else (name,):
        why = why_not(tier, gpu)
        if not why:
            return SANDBOXES[tier](gpu)
        reasons.append(f"the isolation tier {tier} does not work here: {why}")
    raise ConfigurationError("\n".join(reasons))
