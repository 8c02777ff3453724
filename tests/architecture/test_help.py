"""What ``--help`` prints: plain text, for every verb and every command below a verb."""

import argparse
from collections.abc import Iterator

import pytest

import local_evaluation
from evaluator.cli.main import build_parser


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


ALL = [*parsers(build_parser()), local_evaluation.build_parser()]


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_a_help_says_what_the_command_does_without_markup(parser):
    assert parser.description
    assert "`" not in parser.format_help()


@pytest.mark.parametrize("columns", ["60", "0"])
def test_prose_folds_to_the_width_and_commands_stay_whole(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for parser in ALL:
        lines = parser.format_help().removeprefix(parser.format_usage()).split("\n")
        long = [line for line in lines if len(line) > (int(columns) or 80) and "python " not in line and "    " not in line]
        assert long == [], parser.prog
        assert all(action.help for action in parser._actions if action.option_strings), parser.prog
    assert "\npython -m evaluator report results/20261126-141337-mine --no-pictures --out mine.html\n" in "".join(
        parser.format_help() for parser in ALL
    )


def test_every_verb_was_looked_at():
    assert len(ALL) > 15
