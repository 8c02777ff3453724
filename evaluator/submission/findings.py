"""What is found in a submission before it runs: errors, with which it cannot be judged, and warnings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, order=True)
class Finding:
    """Something that was found.

    Attributes:
        kind: ``error``, or ``warning`` where the submission may still be judged.
        place: file and line, a key of the manifest, or a phase.
        text: what was seen; what was expected. What to do.
    """

    kind: Literal["error", "warning"]
    place: str
    text: str

    @property
    def line(self) -> str:
        """``place: text``."""
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Findings:
    """Everything that was found in one submission.

    Attributes:
        submission: its plain name; ``path``: as it was named.
        found: errors first, each in the order of the files.
        left: files that stay behind, by path, with the reason.
        files: number of files that travel; ``bytes``: of all of them.
        class_name: of the class that will be judged, as far as the text says so; else empty.
        unread: there is no submission there that can be read at all; the only finding beside those of the manifest says why.
    """

    submission: str
    path: str
    found: tuple[Finding, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    files: int = 0
    bytes: int = 0
    class_name: str = ""
    unread: bool = False

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The errors."""
        return tuple(finding for finding in self.found if finding.kind == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The warnings."""
        return tuple(finding for finding in self.found if finding.kind == "warning")

    def fit(self, strict: bool = False) -> bool:
        """Whether nothing was found that speaks against judging it. ``strict``: warnings speak against it, too."""
        return not (self.found if strict else self.errors)

    def as_dict(self, strict: bool = False) -> dict[str, Any]:
        """JSON-able."""
        return {
            "submission": self.submission,
            "path": self.path,
            "fit_to_submit": self.fit(strict),
            "class": self.class_name,
            "files": self.files,
            "bytes": self.bytes,
            "left_behind": dict(self.left),
            "errors": [{"place": finding.place, "text": finding.text} for finding in self.errors],
            "warnings": [{"place": finding.place, "text": finding.text} for finding in self.warnings],
        }


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, errors first, otherwise in the order given."""
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.kind != "error"))
