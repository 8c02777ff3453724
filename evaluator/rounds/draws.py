"""What of a round is hidden, drawn from its secret: the secrets of both parts, seeds of data, hidden tasks.

Every number is ``derive(secret, "round", name)``, so that the file of one secret repeats the whole round. None of them says
anything of another one: a secret of a part may be published after the round without the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from evaluator.cleaning.embedded import NAME as DIGITS
from evaluator.cleaning.painted import NAME as SHEETS
from evaluator.errors import ConfigurationError
from evaluator.secret import Secret
from evaluator.seeds import derive, generator, short

ROOT_SEED = 2022
"""Beside the secret, as in every run that names none."""
_THOUSANDTHS = 1_000


def part_secret(secret: Secret, part: str) -> Secret:
    """The secret that the draws of a part (``public``, ``private``) follow from."""
    return Secret(derive(secret.number, "round", "secret", part))


def data_seed(secret: Secret, what: str) -> int:
    """The seed of hidden data, 128 bits. ``what``: another name gives other data."""
    return derive(secret.number, "round", "data", what)


def round_seed(secret: Secret) -> int:
    """The seed from which hidden pairs are drawn, 63 bits."""
    return short(secret.number, "round", "hidden tasks")


def hidden_tasks(secret: Secret, public: Sequence[str], count: int) -> tuple[str, ...]:
    """Names of tasks of the cleaning track: of the kinds of the public tasks, with other classes and other rates.

    The kind of noise is that of the public tasks in turn. Two classes are drawn where the public task has two. The rate is drawn
    uniformly, in thousandths, from half to one and a half times that of the public task, below what a task may have.

    Args:
        public: names that the kit knows without a folder.

    Raises:
        ConfigurationError: a public name is none of these.
    """
    rng, found = generator(secret.number, "round", "hidden tasks"), dict[str, None]()
    while len(found) < count:
        name = _like(public[len(found) % len(public)], rng, {*public, *found})
        found[name] = None
    return tuple(found)


def _like(name: str, rng: object, taken: Collection[str]) -> str:
    digits, sheets = DIGITS.fullmatch(name), SHEETS.fullmatch(name)
    made = digits or sheets
    if made is None:
        raise ConfigurationError(f"--tasks: {name!r} is no task that the kit makes; expected a name such as painted-annotator-0.08")
    rate = float(made[4] if digits else made[2])
    most = min(1.5 * rate, 0.49 if sheets or made[1] or made[3] == "pairs" else 0.85)
    while True:
        low, high = max(1, round(rate / 2 * _THOUSANDTHS)), round(most * _THOUSANDTHS)
        drawn = int(rng.integers(low, high + 1)) / _THOUSANDTHS  # type: ignore[attr-defined]
        if sheets:
            other = f"painted-{made[1]}-{drawn:g}"
        else:
            pair = rng.choice(10, 2, replace=False).tolist() if made[1] else ()  # type: ignore[attr-defined]
            other = "-".join(["digits", *([f"{min(pair)}v{max(pair)}"] if pair else []), made[3], f"{drawn:g}"])
        if other not in taken:
            return other
