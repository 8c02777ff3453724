"""For how long a judge keeps what it could do without (``[retention]`` of ``judge.toml``)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from evaluator.errors import ConfigurationError

MOST_DAYS = 36_500.0


@dataclass(frozen=True)
class Retention:
    """Days after which ``judge clean`` removes what is not needed any more; None keeps it for ever.

    Attributes:
        packages: of submissions that were refused. The others stay: a rescore needs them.
        submissions: folders of unpacked packages; they are unpacked again where they are needed.
        logs: summaries and logs of attempts, and the runs in the folders of results.
        predictions: of submissions that are not on a board and not chosen; a rescore of them trains anew.
        images: that were built for submissions of which none is on a board, was chosen or has a job; they are built again where
            they are needed.

    Raises:
        ConfigurationError: a number makes no sense.
    """

    packages: float | None = None
    submissions: float | None = None
    logs: float | None = None
    predictions: float | None = None
    images: float | None = None

    def __post_init__(self) -> None:
        for part in fields(self):
            days = getattr(self, part.name)
            if days is not None and not 0 <= days <= MOST_DAYS:
                raise ConfigurationError(
                    f"{part.name} is {days:g}; expected 0 to {MOST_DAYS:,.0f} days. Leave it out to keep everything"
                )
