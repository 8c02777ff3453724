"""Judge what participants send: take packages from an inbox, run them in the sandbox, and write back what may go back.

python -m evaluator judge run FOLDER               until it is stopped; Ctrl-C ends after what runs was given back
python -m evaluator judge run FOLDER --once        everything that waits, then end
python -m evaluator judge status FOLDER            what waits, runs and is done; load, disk, leftovers
python -m evaluator judge pause FOLDER             give no more jobs; drain: and end after what runs; resume: give them again
python -m evaluator judge choose FOLDER foxes 3 7  which submissions are judged on the private part at the end
python -m evaluator judge finish FOLDER            add the private part of what was chosen, or else of the best
python -m evaluator judge rescore FOLDER           judge everything anew under the version of judge.toml
python -m evaluator judge compare FOLDER           what that changes: scores and ranks under both versions
python -m evaluator judge board FOLDER             write the leaderboard as a site, into FOLDER/site
python -m evaluator judge trail FOLDER             everything that happened, oldest first; --check: is it what was written?
python -m evaluator judge clean FOLDER             what may be removed, a preview; --yes removes it
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.cli.parsing import add_action
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.text import json_text, one_line, say
from evaluator.words import counted

if TYPE_CHECKING:
    from evaluator.judging.board import Scored
    from evaluator.judging.jobs import Part
    from evaluator.judging.place import Place
    from evaluator.judging.queue import Queue
    from evaluator.tables import Metric
    from evaluator.track import Track


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``judge`` to the command line."""
    verb = subparsers.add_parser("judge", help="judge the packages of an inbox", description=__doc__)
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    every = {
        "run": add_action(actions, "run", "take packages in and judge them"),
        "status": add_action(actions, "status", "what waits, runs and is done; load, disk, leftovers"),
        "pause": add_action(actions, "pause", "give no more jobs; what runs goes on"),
        "drain": add_action(actions, "drain", "give no more jobs; judges end when what they run has ended"),
        "resume": add_action(actions, "resume", "give jobs again"),
        "choose": add_action(actions, "choose", "choose submissions of a participant for the private part"),
        "finish": add_action(actions, "finish", "add the private part of what was chosen; of who chose nothing, of the best"),
        "rescore": add_action(actions, "rescore", "judge everything anew under the version of judge.toml"),
        "compare": add_action(actions, "compare", "scores and ranks under two versions side by side"),
        "board": add_action(actions, "board", "write the leaderboard as a site of plain files"),
        "trail": add_action(actions, "trail", "show everything that happened"),
        "clean": add_action(
            actions, "clean", "remove what belongs to nobody and what [retention] gives up; without --yes a preview"
        ),
        "tags": add_action(actions, "tags", "take in the tags of [git]; run does it by itself"),
    }
    for action in every.values():
        action.add_argument("folder", type=given_path, metavar="FOLDER", help="the judge's folder, with judge.toml")
    every["run"].add_argument("--once", action="store_true", help="end when nothing waits")
    every["tags"].add_argument("--once", action="store_true", help="look once, then end")
    every["choose"].add_argument("participant", metavar="NAME", help="as its folder in the inbox")
    every["choose"].add_argument("numbers", nargs="+", type=int, metavar="N", help="numbers of submissions")
    every["finish"].add_argument("--early", action="store_true", help="although the deadline has not come")
    every["board"].add_argument("--out", type=given_path, metavar="DIR", help="default: site in the judge's folder")
    every["board"].add_argument(
        "--private", action="store_true", help="show the private part, too, from now on: the round is over (without: take it back)"
    )
    every["compare"].add_argument("--versions", nargs=2, type=int, metavar=("OLD", "NEW"), help="default: the newest two")
    every["compare"].add_argument("--private", action="store_true", help="the private part (default: the public part)")
    every["trail"].add_argument("--csv", action="store_true", help="print it as a table for spreadsheets")
    every["trail"].add_argument(
        "--check", action="store_true", help="hold the chain of hashes, states and results against each other"
    )
    every["trail"].add_argument("--head", nargs="+", default=[], metavar="HASH", help="with --check: heads that were noted earlier")
    every["clean"].add_argument("--yes", action="store_true", help="remove; without it nothing is removed")
    for name in ("status", "trail", "compare", "clean"):
        every[name].add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if a job failed by our fault, something could not be removed, or the trail was changed."""
    from evaluator.judging.place import Place
    from evaluator.judging.queue import Queue
    from evaluator.judging.shortages import broken, shortage
    from evaluator.judging.workers import person

    place = Place.of(args.folder)
    queue = Queue(place.queue, place.rules.quota, who=person())
    try:
        acts = {
            "run": _run,
            "status": _status,
            "choose": _choose,
            "finish": _finish,
            "rescore": _rescore,
            "compare": _compare,
            "board": _board,
            "trail": _trail,
            "clean": _clean,
            "tags": _tags,
        }
        return acts.get(args.action, _give)(args, place, queue)
    except sqlite3.Error as error:
        if broken(error):
            raise ConfigurationError(
                f"{place.queue}: the queue is damaged ({error}); a file that SQLite can read was expected. Stop all judges, and "
                "restore a backup"
            ) from None
        if lack := shortage(error):
            raise ConfigurationError(f"{place.queue}: {lack}, and try again ({error})") from None
        raise
    finally:
        queue.close()


def _give(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    said = {
        "pause": "no more jobs are given; what runs goes on",
        "drain": "no more jobs are given; every judge ends when what it runs has ended",
        "resume": "jobs are given again",
    }
    queue.pause({"pause": True, "drain": "drain", "resume": False}[args.action], time.time())  # type: ignore[arg-type]
    print(said[args.action])
    return 0


def _run(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.cli.tracks import TRACKS, named
    from evaluator.judging.figures import to_show
    from evaluator.judging.images import builder_of
    from evaluator.judging.loop import Judge
    from evaluator.judging.parts import why_not
    from evaluator.judging.work import Form

    if place.rules.sandbox == "landlock":
        say("warning: the tier landlock hides contents of files and little else; judge strangers in bubblewrap or docker")
    if place.rules.sandbox == "process":
        say("warning: the tier process stops accidents and no strangers; judge strangers in bubblewrap or docker")
    if said := _exposed(place.rules.sandbox):
        say(f"warning: {said}")
    for file in place.exposed():
        say(f"warning: {file}: other users of this machine may read it, and it decides what is hidden; `chmod 600` it")
    track = named(place.rules.track, f"{place.root}/judge.toml: track")
    if (builder := builder_of(place)) is not None:
        builder.check()
    _require(place, track, "public")
    if place.rules.private and (why := why_not(place, track, "private")):
        if queue.rows("SELECT id FROM job WHERE part = 'private' AND state IN ('waiting', 'running')"):
            raise ConfigurationError(why)
        say(f"warning: the private part could not be judged now. {why}")
    form = Form(track.task_word, tuple(metric.name for metric in track.metrics), partial(to_show, place, TRACKS))
    print(one_line(f"{place.rules.name}: judging in {place.root}", 1_000), flush=True)
    if place.rules.git and args.once:
        _tags(args, place, queue)
    with _looking_at_tags(args, place):
        judge = Judge(
            place,
            queue,
            form,
            _told,
            lambda: write_board(place, queue, place.root / "site", private=queue.shows_private),
            track=track,
            builder=builder,
        )
        return 0 if judge.run(args.once) else 1


def _exposed(tier: str) -> str:
    """What the tier of a judge leaves open on this machine. Empty where it does not work: jobs say that, with a reason."""
    from evaluator.sandbox.tiers import SANDBOXES, choose, exposed

    if tier not in ("landlock", "auto"):
        return ""
    try:
        return exposed(choose(tier) if tier == "auto" else SANDBOXES[tier](False))
    except (OSError, ConfigurationError):
        return ""


def _require(place: Place, track: Track, part: Part) -> None:
    """Refuse to begin where no submission could be judged.

    Raises:
        ConfigurationError: an option, the secret, the data or the weights of the part are not what they should be.
    """
    from evaluator.judging.parts import why_not

    if why := why_not(place, track, part):
        raise ConfigurationError(why)


@contextmanager
def _looking_at_tags(args: argparse.Namespace, place: Place) -> Iterator[None]:
    """A process that looks at the repositories of ``[git]`` while the judge works, and ends with it."""
    from evaluator.judging.work import ended, started

    if not place.rules.git or args.once:
        yield
        return
    process = started([sys.executable, "-m", "evaluator", "judge", "tags", str(place.root)], None, None)
    try:
        yield
    finally:
        ended(process)


def _tags(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.judging.tags import watch

    watch(place, queue, _told, once=args.once)
    return 0


def _status(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.judging.health import health
    from evaluator.report.console import terminal
    from evaluator.report.terminal import show_rows

    found = health(place, queue, time.time())
    if args.json:
        print(json_text(found.as_dict(), indent=1))
        return 0
    print(one_line(f"{place.rules.name}{' (paused)' if queue.paused else ''}"))
    show_rows(terminal(), found.rows())
    return 0


def _choose(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.judging.queue import NothingSent

    try:
        queue.choose(args.participant, args.numbers, time.time(), why="by the organiser")
    except NothingSent:
        others = ", ".join(queue.participants()) or "nobody"
        raise ConfigurationError(
            f"{args.participant} has no submission that was judged; there are submissions of {others}. Name a folder of the inbox"
        ) from None
    print(one_line(f"{args.participant}: {', '.join(map(str, args.numbers))} will be judged on the private part"))
    return 0


def _finish(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.cli.tracks import named
    from evaluator.judging.final import choose_defaults, without

    if not place.rules.private:
        raise ConfigurationError(f'{place.root}: judge.toml names no private part; write private = "private.toml"')
    if not args.early and (why := _still_open(place)):
        raise ConfigurationError(
            f"{why}. Once the private part has begun nobody can choose any more. Wait, close the round (`python -m evaluator round "
            "close`), or begin before its end with --early"
        )
    _require(place, named(place.rules.track, f"{place.root}/judge.toml: track"), "private")
    open_jobs = queue.rows("SELECT id FROM job WHERE part = 'public' AND state IN ('waiting', 'running')")
    if open_jobs:
        say(
            f"warning: {counted(len(open_jobs), 'job')} of the public part {'is' if len(open_jobs) == 1 else 'are'} not done; "
            "who chose nothing gets the best of what is"
        )
    public = _judged(place, queue, ("public",))[0]["public"]
    now = time.time()
    choose_defaults(
        queue, public, now, lambda participant, number: _told(f"{participant} chose nothing: submission {number}, the best")
    )
    for participant in without(queue, public):
        _told(f"{participant} chose nothing and has no score: no private part")
    print(f"{counted(queue.open_private(place.rules.version, now), 'job')} added")
    return 0


def _still_open(place: Place) -> str:
    """Why submissions may still come; empty if they may not, or where nothing says when that ends."""
    from evaluator.rounds.terms import FILE, read_terms

    deadline = place.rules.deadline
    if deadline is not None and time.time() < deadline:
        at = datetime.fromtimestamp(deadline, UTC)
        return f"{place.root}/judge.toml: the deadline is {at:%Y-%m-%d %H:%M} UTC, which has not come"
    file = place.root.parent.parent / FILE
    if file.is_file() and (state := read_terms(file).state) != "closed":
        return f"{file}: the round is {state}"
    return ""


def _rescore(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    added = queue.rescore(place.rules.version, time.time())
    print(f"{counted(added, 'job')} added")
    if not added:
        print(f"everything was judged under version {place.rules.version}; raise version in judge.toml to judge it anew")
    return 0


def _compare(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.judging.rescored import changes, show_changes, unsettled, versions
    from evaluator.report.console import terminal

    part: Part = "private" if args.private else "public"
    rows = queue.results(part)
    there = versions(rows)
    wanted = args.versions or there[-2:]
    if len(wanted) < 2 or not set(wanted) <= set(there):
        known = ", ".join(map(str, there)) or "none"
        raise ConfigurationError(
            f"--versions: two versions with results were expected; the {part} part has results of {known}. Rescore first"
        )
    old, new = wanted
    parts, metric = _judged(place, queue, (part,), settled=False)
    found = changes(parts[part], old, new)
    waits = len(unsettled(rows, new))
    if args.json:
        told = [change.as_dict() for change in found]
        print(
            json_text(
                {"part": part, "metric": metric.name, "old": old, "new": new, "waiting": waits, "participants": told}, indent=1
            )
        )
        return 0
    show_changes(terminal(), found, metric, old, new)
    if waits:
        print(f"{counted(waits, 'submission')} not yet judged under version {new}; the board shows version {old} until then")
    return 0


def _board(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    folder = args.out or place.root / "site"
    if args.out is None:
        queue.show_private(args.private, time.time())
    print(one_line(f"{counted(write_board(place, queue, folder, args.private), 'page')}: {folder / 'index.html'}", 1_000))
    return 0


def write_board(place: Place, queue: Queue, folder: Path, private: bool) -> int:
    """Write the site of a judge. ``private``: with the private part. Returns the number of pages."""
    from evaluator.judging.site import write_site, writing

    with writing(folder, place.runs):
        parts, metric = _judged(place, queue, ("public", "private") if private else ("public",))
        return write_site(folder, place.rules.name, parts, metric, _word(place), time.time())


def _judged(place: Place, queue: Queue, shown: tuple[Part, ...], *, settled: bool = True) -> tuple[dict[str, list[Scored]], Metric]:
    """The judged submissions of parts, and the metric that ranks. ``settled``: only of versions that a board may show."""
    from evaluator.cli.tracks import named
    from evaluator.judging import rescored
    from evaluator.judging.board import scored
    from evaluator.judging.feedback import for_pages

    track = named(place.rules.track, f"{place.root}/judge.toml: track")
    rows = {part: rescored.settled(queue.results(part)) if settled else queue.results(part) for part in shown}
    known = [row["result"]["metric"] for of in rows.values() for row in of if row["result"] and "metric" in row["result"]]
    metric = track.metric(known[-1]) if known else track.metrics[0]
    word = track.task_word
    parts = {
        part: [
            scored({**row, "result": for_pages(row["result"], word)}, metric, word, part == "private")
            for row in of
            if row["state"] == "done"
        ]
        for part, of in rows.items()
    }
    return parts, metric  # type: ignore[return-value]


def _word(place: Place) -> str:
    from evaluator.cli.tracks import named

    return named(place.rules.track, f"{place.root}/judge.toml: track").task_word


def _trail(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.judging.trail import as_csv, moment

    if args.check or args.head:
        return _check(args, queue)
    events = queue.events()
    if args.json or args.csv:
        print(json_text(events, indent=1) if args.json else as_csv(events), end="\n" if args.json else "")
        return 0
    for event in events:
        where = " ".join(f"{name} {event[name]}" for name in ("submission", "job") if event[name] is not None)
        detail = ", ".join(f"{name} {value}" for name, value in event["detail"].items())
        by = f"by {event['who']}" if event["who"] else ""
        print(one_line(" ".join(filter(None, (moment(event["at"]), event["what"], where, detail, by))), 500))
    return 0


def _check(args: argparse.Namespace, queue: Queue) -> int:
    found = queue.check(args.head)
    if args.json:
        print(json_text({"events": found.events, "head": found.head, "faults": list(found.faults)}, indent=1))
        return 1 if found.faults else 0
    for fault in found.faults:
        say(f"warning: {fault}")
    if found.faults:
        print("the trail is not what was written; compare it with a backup")
        return 1
    print(f"{counted(found.events, 'event')}, unchanged; head {found.head}")
    print("note the head elsewhere: judge trail --check --head HASH says later whether the past is still the same")
    return 0


def _clean(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.judging.clean import clean, clean_machine, removals
    from evaluator.judging.health import size_text

    now = time.time()
    shown = {line.shown.number for line in _lines(place, queue)}
    found = removals(place, queue, shown, now)
    failed: list[str] = []
    more = 0
    if args.yes:
        failed = clean(place, queue, found, now)
        more = clean_machine(place)
    size = size_text(sum(of.bytes for of in found))
    if args.json:
        things = [of.as_dict() for of in found]
        print(json_text({"removed": args.yes, "things": things, "of_the_machine": more, "failed": failed}, indent=1))
        return 1 if failed else 0
    for of in found:
        print(one_line(f"{of.kind}: {of.paths[0]}{f' and {len(of.paths) - 1} more' if len(of.paths) > 1 else ''}: {of.why}", 1_000))
    for line in failed:
        say(f"warning: {line}")
    if args.yes:
        print(f"{counted(len(found) - len(failed), 'thing')} removed, {size}" + (f"; {more} of killed workers" if more else ""))
    else:
        print(f"{counted(len(found), 'thing')} would be removed, {size}; nothing was. Add --yes to remove what is listed")
    return 1 if failed else 0


def _lines(place: Place, queue: Queue) -> list:
    """The lines of every board, under every version: what they show is kept."""
    from evaluator.judging.board import board

    parts, _ = _judged(place, queue, ("public", "private"), settled=False)
    found = []
    for of in parts.values():
        for version in {one.version for one in of}:
            found += board([one for one in of if one.version == version])
    return found


def _told(text: str) -> None:
    print(one_line(f"{datetime.now(UTC).strftime('%H:%M:%S')} {text}", 2_000), flush=True)
