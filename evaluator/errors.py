"""The verdicts a run can end with, and the errors that the trusted side raises.

A *verdict* says how a submission's run ended and is part of a result. An *error* says that the work could not be started or
finished because of something the user can correct (data, options, a missing file); its message always says what was
seen, what was expected, and what to do.
"""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """How one cell ended. The set is closed: results written today stay readable."""

    OK = "OK"
    TIME_LIMIT = "TIME_LIMIT"
    MEMORY_LIMIT = "MEMORY_LIMIT"
    RUNTIME_ERROR = "RUNTIME_ERROR"
    PROTOCOL_ERROR = "PROTOCOL_ERROR"
    INVALID_OUTPUT = "INVALID_OUTPUT"
    INFRASTRUCTURE = "INFRASTRUCTURE"


INCOMPLETE = "INCOMPLETE"
"""The verdict of a run of which cells have not run yet, and none failed. Those of whole runs are ``OK`` and ``FAILED``."""


class KitError(Exception):
    """Something the user can correct. The commands print the message without a traceback and exit with status 2."""


class DataError(KitError):
    """A data set on disk is not what the kit expects; the message names file, row and value."""


class ConfigurationError(KitError):
    """An option, profile, pair or pipeline that does not make sense."""


class WeightsError(KitError):
    """Starting weights that cannot be loaded; the message says what to do instead."""


class SubmissionError(KitError):
    """A submission that cannot be read or started: a missing path, no entry, a file that may not travel.

    ``verdict``: of its cells. ``RUNTIME_ERROR``, or ``INFRASTRUCTURE`` where this machine failed and not the submission.
    """

    def __init__(self, message: str, verdict: Verdict = Verdict.RUNTIME_ERROR) -> None:
        super().__init__(message)
        self.verdict = verdict

    def __reduce__(self) -> tuple[type[SubmissionError], tuple[str, Verdict]]:
        return type(self), (str(self), self.verdict)


class TrainingError(Exception):
    """The trusted training failed (loss not finite, device lost): our fault or the data's, never the participant's."""


class DeviceError(TrainingError):
    """The accelerator failed or vanished: nothing more can be computed on it in this process."""
