"""How to repeat a run: the command, and what must be equal for equal figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from evaluator.report.html.render import Facts
from evaluator.report.html.stored import StoredRun
from evaluator.secret import seeds_in_words
from evaluator.words import counted

TITLE = "How to repeat it"
SHORT = 16
"""Hexadecimal digits of a hash that are shown."""


def repeat(run: StoredRun) -> Facts:
    """The section. Paths of the machine are not stored with a run, so the command has names in their place."""
    summary, track = run.summary, run.track
    specs = [cell["spec"] for _, cell in run.rows()]
    spec = specs[0] if specs else None
    word = track.task_word
    tasks = [row[word] for row in summary[f"{word}s"]]
    alone = run.one and not summary["panel"]
    head = ["python", "local_evaluation.py", "--submission"] if alone else ["python", "-m", "evaluator", "sweep", "--submissions"]
    names = [summary["submission"]["name"]] if run.one else [row["name"] for row in summary["submissions"]]
    lines = [[*head, *names], ["--track", track.name, "--profile", summary["profile"], "--seeds", str(summary["seeds"])]]
    lines[-1] += ["--root-seed", str(summary["root_seed"]), *([] if summary["secret"] else ["--public-seeds"])]
    if not run.one and summary.get("first_seed"):
        lines[-1] += ["--first-seed", str(summary["first_seed"])]
    if specs:
        lines.append(track.repeat_options(specs, tasks, alone))
    lines.append(_judged(summary, run.one, bool(track.score_splits)))
    lines.append(["--sandbox", summary["isolation"], "--device", summary["device"], "--threads", str(summary["threads"])])
    text = " \\\n    ".join(shlex.join(str(part) for part in line) for line in lines if line)
    return Facts(TITLE, text, tuple(_rows(run, spec)), tuple(_notes(summary)))


def _judged(summary: Mapping[str, Any], one: bool, splits: bool) -> list[str]:
    """Options for pipelines and scored splits; a pipeline that was adapted to the profile is named as it was asked for."""
    if one:
        panel = summary["panel"]
        pipelines = [row["fitted_from"] or row["name"] for row in panel or ()]
        pipelines = pipelines or [summary["fitted_from"] or (summary["pipeline"] or {}).get("name", "")]
        found = ["--pipeline" if len(pipelines) == 1 else "--pipelines", *pipelines]
        return found + (["--score-split", summary["score_split"]] if splits else [])
    found = ["--pipelines", *(row["fitted_from"] or row["name"] for row in summary["pipelines"])]
    return found + (["--score-split", *summary["score_splits"]] if splits else [])


def _rows(run: StoredRun, spec: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    summary = run.summary
    if run.one:
        sources = [(summary["submission"]["name"], summary["submission"]["digest"])]
    else:
        sources = [(row["label"], row["digest"]) for row in summary["submissions"]]
    rows = [("submission", f"{name}, digest {digest[:SHORT]}") for name, digest in sources[:20]]
    rows.append(
        (
            "seeds",
            f"{counted(summary['seeds'], 'repetition')}, root seed {summary['root_seed']}, {seeds_in_words(summary['secret'])}",
        )
    )
    rows.append(("isolation", summary["isolation"] + (f", limits by {summary['limited_by']}" if summary.get("limited_by") else "")))
    rows.append(("training", f"{summary['device']}, {counted(summary['threads'], 'thread')}, {summary['workers']} at a time"))
    if spec is not None:
        rows += [(f"data: {split}", f"digest {digest[:SHORT]}") for split, digest in spec["data"].items()]
        rows.append(("weights", str(spec["weights"]) or "none"))
        rows.append(("judging", f"version {spec.get('version')} of track {run.track.name}"))
    known = summary.get("versions") or list({str(c["versions"]): c["versions"] for _, c in run.rows()}.values())
    for versions in known[:4]:
        rows.append(("versions", ", ".join(f"{name} {value}" for name, value in versions.items())))
    rows.append(("took", f"{summary['seconds']:.0f} s"))
    return rows


def _notes(summary: Mapping[str, Any]) -> list[str]:
    found = ["The command holds names in the place of paths: run it where the submissions lie."]
    if summary["secret"]:
        found.append(
            f"Draws follow from the secret with the fingerprint {summary['secret']}. It lies in the file secret of the results "
            "folder: use that folder (--out), or name the file (--secret). A report never holds the secret itself."
        )
    else:
        found.append("Public seeds: every draw follows from the root seed alone.")
    found.append("Finished cells are read from the store; --fresh runs them again.")
    return found
