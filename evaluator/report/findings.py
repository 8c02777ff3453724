"""Errors and warnings in the terminal: what was found in a submission before it ran, and what is said before and after a run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from evaluator.report.console import hanging
from evaluator.submission.findings import Finding, Findings
from evaluator.text import message, one_line, quoted
from evaluator.words import counted

STYLES = {"error": "bold red", "warning": "yellow"}
MOST = 60
"""Largest number of findings that are printed one by one."""
MOST_LEFT = 8
"""Largest number of files that stay behind which are named."""


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print findings, errors first, each on lines of its own."""
    for finding in findings[:MOST]:
        _said(console, finding.kind, finding.line)
    if len(findings) > MOST:
        hanging(console, f"and {counted(len(findings) - MOST, 'more finding')}; --json lists all")


def show_remarks(console: Console, warnings: Sequence[str]) -> None:
    """Print warnings in yellow: they stand apart from notes, and before them."""
    for warning in warnings:
        _said(console, "warning", warning)


def show_validation(console: Console, found: Findings, strict: bool = False, tried: str = "", trace: str = "") -> None:
    """Print what ``validate`` found, and whether the submission is fit to submit.

    Args:
        tried: how it was run, in words; ``trace``: the traceback of that run, as it is to be shown.
    """
    judged = f", class {found.class_name}" if found.class_name else ""
    if not found.unread:
        travel = f"{counted(found.files, 'file')} of {found.bytes:,} bytes {'travels' if found.files == 1 else 'travel'}"
        hanging(console, f"{found.submission}: {travel}{judged}")
    if found.left:
        named = ", ".join(f"{name} ({why})" for name, why in found.left[:MOST_LEFT])
        more = f" and {len(found.left) - MOST_LEFT} more" if len(found.left) > MOST_LEFT else ""
        hanging(console, f"  stay behind: {named}{more}", "dim")
    if tried:
        hanging(console, f"  {tried}", "dim")
    show_findings(console, found.found)
    if trace:
        console.print(Text(quoted(trace, console.width), style="red"))
    counts = ", ".join(filter(None, (_many(found.errors, "error"), _many(found.warnings, "warning")))) or "nothing found"
    fit = found.fit(strict)
    verdict = "fit to submit" if fit else "not fit to submit" + (" (--strict)" if found.fit() else "")
    console.print(Text(f"{verdict}: {counts}", style="green" if fit else "bold red"))


def _many(findings: Sequence[Finding], noun: str) -> str:
    return counted(len(findings), noun) if findings else ""


def _said(console: Console, kind: str, text: str) -> None:
    shown = Text(message(f"{kind}: {one_line(text, 2_000)}", console.width), style=STYLES[kind] if kind == "warning" else "red")
    shown.stylize(STYLES[kind], 0, len(kind) + 1)
    console.print(shown, soft_wrap=not console.is_terminal)
