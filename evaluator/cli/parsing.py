"""What every command line of the kit shares: options are written out, and what is not understood is answered with what was
meant."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from evaluator.places import given_path
from evaluator.text import message, one_line
from evaluator.words import meant

_REQUIRED = "the following arguments are required"


class Prose(argparse.HelpFormatter):
    """Help texts made of docstrings: prose is folded to the width of the terminal, and has no marks of code.

    Lines of a command, a list or a table (they begin with ``python``, or hold a wide gap) stay as they are: they are copied.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        shown: list[str] = []
        prose: list[str] = []

        def fold() -> None:
            if prose:
                shown.append(textwrap.fill(" ".join(prose), width, initial_indent=indent, subsequent_indent=indent))
                prose.clear()

        for line in text.replace("`", "").strip().split("\n"):
            copied = line.startswith((" ", "python ", "make ")) or "  " in line
            if copied or not line or line.startswith("- "):
                fold()
            if copied or not line:
                shown.append(line)
            else:
                prose.append(line)
        fold()
        return "\n".join(shown)

    def _expand_help(self, action: argparse.Action) -> str:
        return super()._expand_help(action).replace("`", "")


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that takes no abbreviation of an option (``--seed`` is not ``--seeds``) and names the nearest word.

    Args:
        path_option: the option that a path which stands alone was probably meant for; empty for none.
    """

    def __init__(self, *args: Any, path_option: str = "", **rest: Any) -> None:
        super().__init__(*args, **{"formatter_class": Prose} | rest | {"allow_abbrev": False})
        self.path_option = path_option

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As in ``argparse``; words that no option takes end the program with status 2."""
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            below = _chosen(self, found)
            below.error(below.not_taken(rest[0]) if isinstance(below, Parser) else f"unrecognized arguments: {rest[0]}")
        return found

    def not_taken(self, word: str) -> str:
        """What to say of a word of the command line that this command does not take."""
        option = word.partition("=")[0]
        if option.startswith("-") and option != "-":
            known = [name for action in self._actions for name in action.option_strings]
            near = meant(option, known) or f"; {self.prog} --help lists all options"
            return f"there is no option {_short(option)}{near}"
        if self.path_option:
            return f"{_short(word)} stands alone; did you mean {self.path_option} {one_line(word, 60)}?"
        return f"{_short(word)} was not expected here; {self.prog} --help lists what is"

    def error(self, message_: str) -> NoReturn:
        """Say what is wrong and end with status 2; where the command below is missing, say which there are."""
        if message_.startswith(_REQUIRED) and any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            self.print_help(sys.stderr)
            self.exit(2)
        self.print_usage(sys.stderr)
        self.exit(2, message(f"{self.prog}: error: {message_}") + "\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        said = meant(str(value), known) or f"; choose from {', '.join(known)}"
        raise argparse.ArgumentError(action, f"there is no {_short(str(value))}{said}")


def _short(word: str) -> str:
    return repr(one_line(word, 80))


def _chosen(parser: argparse.ArgumentParser, found: argparse.Namespace) -> argparse.ArgumentParser:
    """The parser of the command below, and below that, that the words have named."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and (name := getattr(found, action.dest, None)) in action.choices:
            return _chosen(action.choices[name], found)
    return parser


def take_negative(parser: argparse.ArgumentParser) -> None:
    """Make a parser take ``-5:17`` for a value, as it takes ``-5``, so that the option itself can say what is wrong with it."""
    parser._negative_number_matcher = re.compile(r"-\.?\d.*")


def add_action(
    actions: argparse._SubParsersAction, name: str, summary: str, path_option: str = "", aliases: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Add a command below a verb, e.g. ``list`` of ``results``. ``summary`` stands in the help of the verb and in its own.

    Args:
        path_option: as of ``Parser``; ``aliases``: further names of the command.
    """
    about = f"{summary[0].upper()}{summary[1:]}."
    made: argparse.ArgumentParser = actions.add_parser(name, aliases=aliases, help=summary, description=about)
    if isinstance(made, Parser):
        made.path_option = path_option
    return made


def below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and all parsers of commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from below(command)


def named_path(text: str) -> tuple[str, Path]:
    """``NAME=FILE`` or ``FILE``: the name, empty without one, and the path. A file whose own name holds ``=`` is found as it is."""
    name, sign, rest = text.partition("=")
    if sign and name and "/" not in name and not Path(text).exists():
        return name, given_path(rest)
    return "", given_path(text)
