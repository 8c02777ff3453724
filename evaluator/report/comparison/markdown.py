"""A comparison as a page of Markdown."""

from __future__ import annotations

from typing import Any

from evaluator.report.comparison.blocks import blocks
from evaluator.report.comparison.headings import heading, marks, track_of
from evaluator.report.comparison.notes import notes
from evaluator.report.format import markdown_rows
from evaluator.report.levels import level_blocks, level_notes
from evaluator.text import markdown as escaped
from evaluator.track import Tracks

NOTE_WIDTH = 2_000
"""Largest width of a note; some name many strategies."""


def markdown(report: dict[str, Any], tracks: Tracks) -> str:
    """All tables and notes as a page of Markdown."""
    lines = []
    several = len({table["track"] for table in (*report["levels"], *report["tables"])}) > 1
    for table in report["levels"]:
        track = track_of(tracks, table)
        lines += [f"## {escaped(heading(track, table, several))}", ""]
        for block in level_blocks(table, track.metric(table["metric"]), report["wanted"]):
            lines += [f"### {escaped(block.title)}", "", *markdown_rows(block, escaped), ""]
        lines += [*(f"- {escaped(note, NOTE_WIDTH)}" for note in level_notes(table, report["alpha"], report["family"])), ""]
    for table in report["tables"]:
        track = track_of(tracks, table)
        lines += [f"## {escaped(heading(track, table, several))}", ""]
        for mark in marks(table):
            lines += [f"**{escaped(mark)}**", ""]
        for block in blocks(report, table, track):
            lines += [f"### {escaped(block.title)}", "", *markdown_rows(block, escaped), ""]
        for block in (block for heat in table["heat_maps"] for block in track.map_blocks(heat)):
            lines += [f"### {escaped(block.title)}", "", *markdown_rows(block, escaped), ""]
        lines += [*(f"- {escaped(note, NOTE_WIDTH)}" for note in notes(report, table)), ""]
    if report["left_out"]:
        lines += ["## Left out", "", *(f"- {escaped(reason)}" for reason in report["left_out"]), ""]
    return "\n".join(lines)
