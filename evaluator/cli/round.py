"""Make a round of a competition, check it, forecast its cost, open it and close it.

python -m evaluator round new "Labels 2026" --folder labels --profile quick    public data, hidden data, and a judge, as files
python -m evaluator round check labels                                          that nothing hidden is in what goes out
python -m evaluator round forecast labels --measured results                    participants x submissions x clocks, on your nodes
python -m evaluator round open labels                                           checks, shows the forecast, and opens it
python -m evaluator round close labels                                          ends it, and says what comes next

labels/publish goes out; labels/keep never does. docs/organisers.md has a walk from a new round to a board.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.cli.parsing import add_action
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.text import as_command, json_text, say
from evaluator.words import counted

if TYPE_CHECKING:
    from evaluator.rounds.check import Checked
    from evaluator.rounds.forecast import Forecast
    from evaluator.rounds.terms import Folder, Terms


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``round`` to the command line."""
    verb = subparsers.add_parser("round", help="make a round of a competition, check, open and close it", description=__doc__)
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = add_action(actions, "new", "make a round as a folder: what goes out, and what stays", "--folder")
    new.add_argument("name", metavar="NAME", help="of the competition")
    new.add_argument("--folder", type=given_path, metavar="DIR", required=True, help="a new folder")
    of = new.add_argument_group("what is judged")
    of.add_argument("--track", default="purchase", metavar="NAME", help="purchase, cleaning or curation (default: purchase)")
    of.add_argument(
        "--profile",
        metavar="NAME|FILE",
        help="default: quick; of cleaning painted. A round of your own is a table [round] of such a file",
    )
    of.add_argument("--seeds", type=int, default=3, metavar="N", help="repetitions in both parts (default: 3)")
    of.add_argument("--pipelines", nargs="+", metavar="NAME", help="default: the profile's own")
    of.add_argument("--pairs", nargs="+", metavar="WORD", help="purchase: public pairs, as in a sweep (default: the profile's)")
    of.add_argument("--tasks", nargs="+", metavar="TASK", help="cleaning: public tasks (default: the profile's)")
    of.add_argument("--hidden", type=int, metavar="N", help="hidden pairs (default: 5) or tasks (default: as many as public)")
    of.add_argument("--data", type=given_path, metavar="DIR", help="public data of your own (default: the kit makes them)")
    of.add_argument("--private-data", type=given_path, metavar="DIR", help="hidden data of your own, with --data")
    of.add_argument("--secret", type=given_path, metavar="FILE", help="secret that all hidden things follow from (default: drawn)")
    terms = new.add_argument_group("terms")
    terms.add_argument("--opens", metavar="TIME", help="e.g. 2026-12-01T00:00:00Z (default: when you open it)")
    terms.add_argument("--closes", metavar="TIME", help="packages that come later are refused (default: no end)")
    terms.add_argument("--a-day", type=int, default=5, metavar="N", help="submissions of a participant a day (default: 5)")
    terms.add_argument("--chosen", type=int, default=3, metavar="N", help="submissions of each for the private part (default: 3)")
    terms.add_argument("--sandbox", default="bubblewrap", metavar="TIER", help="isolation tier of the judge (default: bubblewrap)")
    terms.add_argument("--answers", action="store_true", help="judge answers in files, too: ledgers, rankings, tables of edits")
    terms.add_argument("--submit-to", default="", metavar="WHERE", help="where packages are sent to, for the participants' README")
    cost = new.add_argument_group("what is expected, for the forecast")
    cost.add_argument("--participants", type=int, default=10, metavar="N", help="default: 10")
    cost.add_argument("--usual", type=float, metavar="X", help="submissions of each a day on average (default: 1)")
    cost.add_argument("--nodes", type=int, default=1, metavar="N", help="machines that judge (default: 1)")
    cost.add_argument("--at-once", type=int, metavar="N", help="trainings at a time on a machine (default: its cores)")
    cost.add_argument("--cores", type=int, metavar="N", help="of a machine (default: of this one)")

    check = add_action(actions, "check", "prove that nothing hidden is in what goes out, and that judge and data work", "DIR")
    forecast = add_action(actions, "forecast", "show what the round costs", "DIR")
    opens = add_action(actions, "open", "check the round, show its forecast, and open it", "DIR")
    close = add_action(actions, "close", "end the round, and say what comes next", "DIR")
    for action in (check, forecast, opens, close):
        action.add_argument("folder", type=given_path, metavar="DIR", help="a folder that `round new` made")
    for action in (forecast, opens):
        action.add_argument("--measured", type=given_path, metavar="DIR", help="folder of results that durations are taken from")
    for action in (check, forecast):
        action.add_argument("--json", action="store_true", help="print it as JSON")
    close.add_argument("--early", action="store_true", help="before its time")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0; 1 if a check found something; 2 for what a person can mend."""
    from evaluator.rounds.terms import Folder

    if args.action == "new":
        return _new(args)
    folder = Folder(args.folder.expanduser().absolute())
    return {"check": _check, "forecast": _forecast, "open": _open, "close": _close}[args.action](args, folder)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _new(args: argparse.Namespace) -> int:
    from evaluator.report.console import hanging, terminal
    from evaluator.report.terminal import progress_line
    from evaluator.rounds.make import new_round
    from evaluator.rounds.making import Order
    from evaluator.rounds.terms import Terms, moment, said
    from evaluator.rounds.tracks import of_track
    from evaluator.secret import read_secret

    of_track(args.track)
    for option, track in (("pairs", "purchase"), ("tasks", "cleaning")):
        if getattr(args, option) and args.track != track:
            raise ConfigurationError(f"--{option}: the round is of {args.track}, and {track} alone has this option. Leave it out")
    profile = args.profile or {"cleaning": "painted"}.get(args.track, "quick")
    terms = Terms(
        name=args.name,
        track=args.track,
        profile=profile,
        made=_now(),
        opens=moment(args.opens, "--opens") if args.opens else None,
        closes=moment(args.closes, "--closes") if args.closes else None,
        sandbox=args.sandbox,
        answers=args.answers,
        expected=_expected(args),
        quota=_quota(args),
    )
    if terms.closes is not None and terms.closes <= terms.made:
        raise ConfigurationError(f"--closes is {said(terms.closes)}, which has passed; expected a later time")
    order = Order(
        terms=terms,
        profile=profile,
        tasks=tuple(args.pairs or args.tasks or ()),
        hidden=args.hidden,
        seeds=args.seeds,
        pipelines=tuple(args.pipelines or ()),
        data=args.data,
        private_data=args.private_data,
        submit_to=args.submit_to,
    )
    if not 1 <= args.seeds <= 100:
        raise ConfigurationError(f"--seeds is {args.seeds}; expected 1 to 100 repetitions")
    secret = None if args.secret is None else read_secret(args.secret)
    console = terminal()
    with progress_line(console) as line:
        task = line.add_task("data", total=1)
        made = new_round(
            order,
            args.folder,
            secret,
            lambda what, done, total: line.update(task, description=what, completed=done, total=total or 1),
        )
    for text in made.warnings:
        say(f"warning: {text}")
    root = args.folder
    for text in (
        f"{root / 'publish'}: what goes out",
        f"{root / 'keep'}: secrets, hidden data and the judge's folder; no part of it ever goes out. Keep a copy of it",
        f"next: change {root / 'round.toml'} as you like, then run",
    ):
        hanging(console, text)
    print(as_command("python", "-m", "evaluator", "round", "check", root))
    return 0


def _expected(args: argparse.Namespace) -> Any:
    from evaluator.machine import cores
    from evaluator.rounds.terms import Expected

    machine = cores() if args.cores is None else args.cores
    usual = 1.0 if args.usual is None else args.usual
    try:
        return Expected(args.participants, usual, args.nodes, machine if args.at_once is None else args.at_once, machine)
    except ConfigurationError as error:
        raise ConfigurationError(f"--{str(error).replace('a-day', 'usual')}") from None


def _quota(args: argparse.Namespace) -> Any:
    from evaluator.judging.jobs import Quota

    try:
        return Quota(a_day=args.a_day, chosen=args.chosen)
    except ConfigurationError as error:
        raise ConfigurationError(f"--{str(error).replace('a_day', 'a-day')}") from None


def _checked(folder: Folder, quiet: bool) -> Checked:
    from evaluator.cli.tracks import named
    from evaluator.report.console import terminal
    from evaluator.report.terminal import progress_line
    from evaluator.rounds.check import check

    track = named(folder.terms().track, f"{folder.root}/round.toml: track")
    with progress_line(terminal(stderr=quiet)) as line:
        task = line.add_task("reading", total=1)
        return check(folder, track, lambda what, done, total: line.update(task, description=what, completed=done, total=total or 1))


def _check(args: argparse.Namespace, folder: Folder) -> int:
    from evaluator.report.console import terminal
    from evaluator.rounds.check import as_json
    from evaluator.rounds.shown import show_check

    checked = _checked(folder, args.json)
    if args.json:
        print(as_json(checked))
    else:
        show_check(terminal(), checked)
    return 0 if checked.good else 1


def _foretold(folder: Folder, terms: Terms, plans: Any, measured: Path | None) -> Forecast:
    from evaluator.cli.tracks import named
    from evaluator.history.index import read_index
    from evaluator.judging.place import Place
    from evaluator.rounds.forecast import Durations, forecast, runs_of
    from evaluator.track import Tracks

    durations = None
    if measured is not None:
        if not (measured / "cells").is_dir():
            raise ConfigurationError(f"--measured: {measured} holds no results (no folder cells/); name a results folder")
        rows = read_index(measured.absolute(), Tracks({terms.track: named(terms.track)})).cells
        durations = Durations(rows, runs_of(measured))
    rules = Place.of(folder.judge).rules
    return forecast(terms, plans, durations, rules.hours, rules.resources)


def _forecast(args: argparse.Namespace, folder: Folder) -> int:
    from evaluator.cli.tracks import named
    from evaluator.report.console import terminal
    from evaluator.rounds.parts import plan_of
    from evaluator.rounds.shown import show_forecast

    terms = folder.terms()
    track = named(terms.track, f"{folder.root}/round.toml: track")
    plans = {part: plan_of(folder, track, folder.judge / f"{part}.toml", terms.sandbox) for part in ("public", "private")}
    found = _foretold(folder, terms, plans, args.measured)
    if args.json:
        print(json_text(found.as_dict(), indent=1))
    else:
        show_forecast(terminal(), terms, found)
    return 0


def _open(args: argparse.Namespace, folder: Folder) -> int:
    from evaluator.report.console import hanging, terminal
    from evaluator.rounds.shown import show_check, show_forecast
    from evaluator.rounds.states import alone, open_round, require_may_open

    console = terminal()
    with alone(folder):
        terms = require_may_open(folder, _now())
        checked = _checked(folder, quiet=False)
        show_check(console, checked)
        if not checked.good:
            say(f"error: {folder.root}: the round is not opened, because the check found faults. Mend them, and open again")
            return 1
        show_forecast(console, terms, _foretold(folder, terms, checked.plans, args.measured))
        count = open_round(folder, checked, _now())
    since = f"is open since {_shown(terms.opened)}" if terms.state == "open" else "is open"
    for text in (
        f"{terms.name} {since}: {counted(count, 'published file')}, listed in {folder.publish / 'SHA256SUMS'}",
        f"next: put {folder.publish} where participants find it, give each a folder in {folder.exchange[0]}, and run",
    ):
        hanging(console, text)
    print(as_command("python", "-m", "evaluator", "judge", "run", args.folder / "keep" / "judge"))
    return 0


def _close(args: argparse.Namespace, folder: Folder) -> int:
    from evaluator.report.console import hanging, terminal
    from evaluator.rounds.states import alone, close_round

    with alone(folder):
        terms = folder.terms()
        done = close_round(folder, _now(), args.early)
    judge = args.folder / "keep" / "judge"
    console = terminal()
    hanging(console, f"{terms.name} {'was' if done.before else 'is'} closed on {_shown(done.at)}; what comes now is refused")
    if done.waiting:
        hanging(
            console,
            f"{counted(done.waiting, 'job')} still to be done. Start a judge that runs anew, so that it knows the end",
        )
    steps = (
        ("what is left of the public part", ("run", judge, "--once")),
        ("for who told you; the others chose by choice.json, or get their best", ("choose", judge, "NAME", "N", "N")),
        ("the private part", ("finish", judge)),
        ("", ("run", judge, "--once")),
        ("the board with the private part", ("board", judge, "--private")),
    )
    print("next:")
    for about, words in steps:
        print(as_command("python", "-m", "evaluator", "judge", *words) + (f"   # {about}" if about else ""))
    return 0


def _shown(moment: datetime.datetime | None) -> str:
    from evaluator.rounds.terms import said

    return said(moment)
