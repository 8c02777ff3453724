"""Small additions to ``argparse`` that every command shares."""

from __future__ import annotations

import argparse
import re


def take_negative(parser: argparse.ArgumentParser) -> None:
    """Make a parser take ``-5:17`` for a value, as it takes ``-5``, so that the option itself can say what is wrong with it."""
    parser._negative_number_matcher = re.compile(r"-\.?\d.*")


def add_action(actions: argparse._SubParsersAction, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a command below a verb, e.g. ``list`` of ``results``. ``summary`` stands in the help of the verb and in its own."""
    return actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
