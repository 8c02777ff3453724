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


def test_every_verb_was_looked_at():
    assert len(ALL) > 15
