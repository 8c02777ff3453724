"""What an organiser says of a competition on Codabench, and the ``competition.yaml`` that says it there."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.export.codabench.order import Column
from evaluator.text import one_line

MOST_TITLE, MOST_IMAGE, MOST_NAME = 256, 128, 256
PRECISION = 4
PAGES = {"Overview": "overview.md", "Evaluation": "evaluation.md", "On this platform": "platform.md"}
"""Titles and files below ``pages/``."""


@dataclass(frozen=True)
class Contest:
    """Of the whole competition.

    Attributes:
        title, description: as the platform shows them.
        docker_image: that holds this kit.
        a_day, most: submissions of a participant, on a day and in all, in each phase.
        queue: of the organiser's own compute workers; empty for the server's.
        public_data: whether the bundle brings public data.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    title: str
    docker_image: str
    description: str = ""
    a_day: int = 5
    most: int = 100
    queue: str = ""
    public_data: bool = False

    def __post_init__(self) -> None:
        for option, text, most in (("--title", self.title, MOST_TITLE), ("--image", self.docker_image, MOST_IMAGE)):
            if not text.strip() or one_line(text, most) != text:
                raise ConfigurationError(
                    f"{option} is {one_line(text, 60)!r}; expected a text of at most {most} characters in one line. Give one"
                )
        for option, number in (("--a-day", self.a_day), ("--most", self.most)):
            if not 1 <= number <= 10_000:
                raise ConfigurationError(f"{option} is {number}; expected 1 to 10,000")


@dataclass(frozen=True)
class Phase:
    """A phase, which has one task.

    Attributes:
        name: ``start``, ``end``: instants in UTC; only the last phase may be without an end.
        seconds: execution time limit of a step.
        carried: whether submissions of the phase before are taken over.
    """

    name: str
    start: datetime.datetime
    end: datetime.datetime | None
    seconds: int
    carried: bool = False

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= self.start:
            raise ConfigurationError(f"--end is {self.end:%Y-%m-%d %H:%M}, not after --start, {self.start:%Y-%m-%d %H:%M}")


def instant(option: str, text: str) -> datetime.datetime:
    """An instant of the command line, in UTC without a time zone.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} is {text!r}; expected an instant such as 2026-12-31T23:59 (UTC). Write it so") from None
    return found.replace(tzinfo=None) if found.tzinfo is None else found.astimezone(datetime.UTC).replace(tzinfo=None)


def competition(contest: Contest, phases: Sequence[Phase], columns: Sequence[Column]) -> dict[str, Any]:
    """The content of ``competition.yaml``.

    No ``input_data`` and no ``ingestion_program``: both give a submission's own program a way to hidden data, or to the scores.
    Dates are texts, because the server takes an unquoted time for midnight.
    """
    said: dict[str, Any] = {
        "version": 2,
        "title": contest.title,
        "description": contest.description or contest.title,
        "image": "logo.png",
        "docker_image": contest.docker_image,
        "terms": "terms.md",
        "registration_auto_approve": False,
        "enable_detailed_results": True,
        "show_detailed_results_in_leaderboard": False,
        "can_participants_make_submissions_public": False,
        "make_programs_available": False,
        "make_input_data_available": False,
        "pages": [{"title": title, "file": f"pages/{file}"} for title, file in PAGES.items()],
        "tasks": [_task(number, phase) for number, phase in enumerate(phases)],
        "phases": [_phase(number, phase, contest) for number, phase in enumerate(phases)],
        "leaderboards": [_leaderboard(columns)],
    }
    if contest.queue:
        said["queue"] = contest.queue
    return said


def _task(number: int, phase: Phase) -> dict[str, Any]:
    folder = f"task_{number}"
    return {
        "index": number,
        "name": phase.name,
        "description": "The scoring program runs the submission in a sandbox of its own and judges it.",
        "scoring_program": f"{folder}/scoring_program",
        "reference_data": f"{folder}/reference_data",
    }


def _phase(number: int, phase: Phase, contest: Contest) -> dict[str, Any]:
    said: dict[str, Any] = {
        "index": number,
        "name": phase.name,
        "start": f"{phase.start:%Y-%m-%d %H:%M:%S}",
        "tasks": [number],
        "execution_time_limit": phase.seconds,
        "max_submissions_per_day": contest.a_day,
        "max_submissions": contest.most,
        "hide_output": False,
    }
    if phase.end is not None:
        said["end"] = f"{phase.end:%Y-%m-%d %H:%M:%S}"
    if phase.carried:
        said["auto_migrate_to_this_phase"] = True
    if contest.public_data:
        said["public_data"] = "public_data"
    return said


def _leaderboard(columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "title": "Results",
        "key": "results",
        "submission_rule": "Force_Last",
        "primary_index": 0,
        "columns": [
            {"title": column.title, "key": column.key, "index": number, "sorting": column.sorting, "precision": PRECISION}
            for number, column in enumerate(columns)
        ],
    }


def yaml_text(content: Mapping[str, Any]) -> str:
    """The content as YAML.

    Raises:
        ConfigurationError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        from evaluator.export.codabench.reading import HOW

        raise ConfigurationError(f"bundles are written with PyYAML, which is not installed; {HOW}") from None
    return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=1_000))
