"""What stands above the tables of a condition: its heading, and that the scores are those of a proxy."""

from __future__ import annotations

from typing import Any

from evaluator.report.agreement import coefficient, too_wide
from evaluator.specs import DATA_SET
from evaluator.track import Track, Tracks
from evaluator.words import counted


def track_of(tracks: Tracks, table: dict[str, Any]) -> Track:
    """The track of a table of a report."""
    found = tracks.of(table)
    assert found is not None  # the report was made of cells of known tracks
    return found


def heading(track: Track, table: dict[str, Any], several: bool = False) -> str:
    """The heading of a table: its condition. ``several``: whether tables of several tracks are shown together."""
    own = track.heading({name: table[name] for name in track.conditions if name != DATA_SET})
    mark = "PROXY " if table["proxy"] else ""
    named = f"track {track.name}, " if several else ""
    parts = [f"{mark}{named}profile {table['profile']}", f"pipeline {table['pipeline']}", own, f"{table['score_split']} split"]
    parts += [f"data set {table[DATA_SET]}"] if table.get(DATA_SET) else []
    parts += [f"{len(table['data_sets'])} data sets"] if "data_sets" in table else []
    return ", ".join(part for part in parts if part)


def marks(table: dict[str, Any]) -> list[str]:
    """Lines above the figures of a proxy: that it is a proxy, and how well it correlates with full trainings. Else empty."""
    if not table["proxy"]:
        return []
    found = ["These are scores of a proxy (frozen embeddings and a linear head), not of a full training."]
    for row in table["stand_in"]:
        tau, over = (
            row["tau"],
            ", ".join(
                (
                    counted(len(row["strategies"]), "strategy", "strategies"),
                    counted(len(row["pairs"]), table["word"]),
                    counted(len(row["seeds"]), "seed"),
                )
            ),
        )
        with_it = f"Rank correlation with {row['pipeline']}"
        if tau["value"] is None:
            seen = "" if tau["measured"] is None else f", tau-b of the mean scores {tau['measured']:.2f}"
            found.append(f"{with_it}: not measured ({tau['reason']}{seen}).")
            continue
        wide = "; an interval as wide as this cannot tell whether they agree" if too_wide(tau) else ""
        found.append(
            f"{with_it}: Kendall's tau-b {coefficient(tau)} without noise, {tau['measured']:.2f} as measured, over {over}{wide}."
        )
    if not table["stand_in"]:
        found.append("Rank correlation with a full training: not measured (no full training is stored under the same rules).")
    return found
