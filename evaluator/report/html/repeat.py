"""How to repeat a run: the command, and what must be equal for equal figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from evaluator.report.html.render import Facts
from evaluator.report.html.stored import StoredRun
from evaluator.secret import seeds_in_words
from evaluator.track import Track
from evaluator.words import counted

TITLE = "How to repeat it"
SHORT = 16
"""Hexadecimal digits of a hash that are shown."""


def repeat(run: StoredRun, private: bool = False) -> Facts:
    """The section. Paths of the machine are not stored with a run, so the command has names in their place.

    Args:
        private: show nothing of the rules that people who take part must not know.
    """
    summary, track = run.summary, run.track
    specs = [cell["spec"] for _, cell in run.rows()]
    spec = specs[0] if specs else None
    word = track.task_word
    tasks = [row[word] for row in summary[f"{word}s"]]
    alone = run.one and not summary["panel"]
    head = ["python", "local_evaluation.py", "--submission"] if alone else ["python", "-m", "evaluator", "sweep", "--submissions"]
    own = track.repeat_command(specs, tasks, summary["seeds"]) if specs else None
    if own is not None:
        text = " \\\n    ".join(shlex.join(str(part) for part in line) for line in own)
        return Facts(TITLE, text, tuple(_rows(run, spec)), ("Finished cells are read from the store.",))
    names = [summary["submission"]["name"]] if run.one else [row["name"] for row in summary["submissions"]]
    rules, files = (["--profile", summary["profile"]], {}) if spec is None else track.repeat_rules(spec["profile"], private)
    lines = [[*head, *names], ["--track", track.name, *rules, "--seeds", str(summary["seeds"])]]
    lines[-1] += ["--root-seed", str(summary["root_seed"]), *([] if summary["secret"] else ["--public-seeds"])]
    if first := summary.get("first_seed") or min((row["seed"] for row in summary["cells"]), default=0):
        lines[-1] += ["--first-seed", str(first)]
    if not run.one and summary.get("first_data_set"):
        lines[-1] += ["--data-sets", str(len(summary["data_sets"])), "--first-data-set", str(summary["first_data_set"])]
    if specs:
        lines.append(track.repeat_options(specs, tasks, alone))
    judged, more = _judged(summary, run.one, track)
    lines.append(judged)
    lines.append(["--sandbox", summary["isolation"], "--device", summary["device"], "--threads", str(summary["threads"])])
    text = " \\\n    ".join(shlex.join(str(part) for part in line) for line in lines if line)
    files = files | more
    return Facts(TITLE, text, tuple(_rows(run, spec)), tuple(_notes(run, files, private)), tuple(files.items()))


def _judged(summary: Mapping[str, Any], one: bool, track: Track) -> tuple[list[str], dict[str, str]]:
    """Options for pipelines and scored splits, and the files that they need.

    A pipeline that was adapted to the profile is named as it was asked for.
    """
    of_one = summary.get("panel") or ([summary] if summary.get("pipeline") else [])
    words: list[str] = []
    files: dict[str, str] = {}
    for row in of_one if one else summary["pipelines"]:
        name, needed = track.repeat_pipeline(row["pipeline"], row["fitted_from"] or row["pipeline"]["name"])
        words.append(name)
        files |= needed
    splits = [summary["score_split"]] if one else summary["score_splits"]
    found = ["--pipeline" if one and len(words) == 1 else "--pipelines", *words] if words else []
    return found + (["--score-split", *splits] if track.score_splits else []), files


def _rows(run: StoredRun, spec: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    summary = run.summary
    sources = [summary["submission"]] if run.one else summary["submissions"]
    rows = [("submission", f"{_named(row, run.one)}, digest {row['digest'][:SHORT]}") for row in sources[:20]]
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


def _named(row: Mapping[str, Any], one: bool) -> str:
    return row["name" if one else "label"] + (f" of {row['owner']}" if row.get("owner") else "")


def _notes(run: StoredRun, files: Mapping[str, str], private: bool) -> list[str]:
    summary = run.summary
    found = ["The command holds names in the place of paths: run it where the submissions lie."]
    if files:
        names = ", ".join(files)
        found.append(
            f"{names}: own rules or pipelines of this run, in files. What they must hold stands above, below their names; write it "
            "into files of these names, or name your own. Data that do not lie below data/ are named with --data."
        )
        if private:
            found.append("Seeds of data are left out of the files (--no-pictures), so their cells get other names.")
    elif not run.cells:
        found.append(
            f"No cell of this run could be read, so it is not known whether {summary['profile']} is a profile of the kit; if it "
            "came from a file, name the file."
        )
    if summary["secret"]:
        found.append(
            f"Draws follow from the secret with the fingerprint {summary['secret']}. It lies in the file secret of the results "
            "folder: use that folder (--out), or name the file (--secret). A report never holds the secret itself."
        )
    else:
        found.append("Public seeds: every draw follows from the root seed alone.")
    found.append("Finished cells are read from the store; --fresh runs them again.")
    return found
