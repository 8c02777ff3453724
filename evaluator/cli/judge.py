"""Judge what participants send: take packages from an inbox, run them in the sandbox, and write back what may go back.

python -m evaluator judge run FOLDER               until it is stopped; Ctrl-C ends after what runs was given back
python -m evaluator judge run FOLDER --once        everything that waits, then end
python -m evaluator judge status FOLDER            what waits, runs and is done
python -m evaluator judge pause FOLDER             give no more jobs; resume gives them again
python -m evaluator judge choose FOLDER foxes 3 7  which submissions are judged on the private part at the end
python -m evaluator judge finish FOLDER            add the private part of what was chosen
python -m evaluator judge rescore FOLDER           judge everything anew under the version of judge.toml
python -m evaluator judge board FOLDER             write the leaderboard as a site, into FOLDER/site
python -m evaluator judge trail FOLDER             everything that happened, oldest first
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.cli.parsing import add_action
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.text import json_text, one_line, say
from evaluator.words import counted

if TYPE_CHECKING:
    from evaluator.judging.place import Place
    from evaluator.judging.queue import Part, Queue

IDLE = 2.0
"""Seconds between two looks at an empty inbox."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``judge`` to the command line."""
    verb = subparsers.add_parser("judge", help="judge the packages of an inbox", description=__doc__)
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    every = {
        "run": add_action(actions, "run", "take packages in and judge them"),
        "status": add_action(actions, "status", "what waits, runs and is done"),
        "pause": add_action(actions, "pause", "give no more jobs; what runs goes on"),
        "resume": add_action(actions, "resume", "give jobs again"),
        "choose": add_action(actions, "choose", "choose submissions of a participant for the private part"),
        "finish": add_action(actions, "finish", "add the private part of what was chosen"),
        "rescore": add_action(actions, "rescore", "judge everything anew under the version of judge.toml"),
        "board": add_action(actions, "board", "write the leaderboard as a site of plain files"),
        "trail": add_action(actions, "trail", "show everything that happened"),
    }
    for action in every.values():
        action.add_argument("folder", type=given_path, metavar="FOLDER", help="the judge's folder, with judge.toml")
    every["run"].add_argument("--once", action="store_true", help="end when nothing waits")
    every["choose"].add_argument("participant", metavar="NAME", help="as its folder in the inbox")
    every["choose"].add_argument("numbers", nargs="+", type=int, metavar="N", help="numbers of submissions")
    every["board"].add_argument("--out", type=given_path, metavar="DIR", help="default: site in the judge's folder")
    every["board"].add_argument("--private", action="store_true", help="show the private part, too: the round is over")
    for name in ("status", "trail"):
        every[name].add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if a job failed by our fault."""
    from evaluator.judging.place import Place
    from evaluator.judging.queue import Queue

    place = Place.of(args.folder)
    queue = Queue(place.queue, place.rules.quota)
    try:
        acts = {"run": _run, "status": _status, "choose": _choose, "board": _board, "trail": _trail}
        if args.action in acts:
            return acts[args.action](args, place, queue)
        now = time.time()
        if args.action in ("pause", "resume"):
            queue.pause(args.action == "pause", now)
            print("no more jobs are given; what runs goes on" if args.action == "pause" else "jobs are given again")
            return 0
        if args.action == "finish":
            if not place.rules.private:
                raise ConfigurationError(f'{place.root}: judge.toml names no private part; write private = "private.toml"')
            added = queue.open_private(place.rules.version, now)
        else:
            added = queue.rescore(place.rules.version, now)
        print(f"{counted(added, 'job')} added")
        return 0
    finally:
        queue.close()


def _run(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.cli.tracks import named
    from evaluator.judging.inbox import take_in
    from evaluator.judging.work import LEASE, work

    if place.rules.sandbox == "process":
        say("warning: the tier process stops accidents and no strangers; judge strangers in bubblewrap or docker")
    word = named(place.rules.track, f"{place.root}/judge.toml: track").task_word
    worker, failed = f"{socket.gethostname()}:{os.getpid()}", False
    print(one_line(f"{place.rules.name}: judging in {place.root}", 1_000), flush=True)
    while True:
        for taken in take_in(place, queue, time.time):
            told = f"refused: {taken.refused}" if taken.refused else f"submission {taken.submission}"
            print(one_line(f"{_time()} {taken.participant}: {taken.package}: {told}", 1_000), flush=True)
        job = queue.claim(worker, time.time(), LEASE)
        if job is None:
            if args.once and not _soon(queue):
                return 1 if failed else 0
            time.sleep(IDLE)
            continue
        about = f"{job.participant}, submission {job.submission}, {job.part} part"
        print(one_line(f"{_time()} {about}: attempt {job.attempt}", 1_000), flush=True)
        done = work(place, queue, job, word)
        write_board(place, queue, place.root / "site", private=False)
        failed = failed or done.verdict == "INFRASTRUCTURE"
        why = f" ({done.why})" if done.why else ""
        print(one_line(f"{_time()} {about}: {done.verdict or 'lost'}{why}", 2_000), flush=True)


def _soon(queue: Queue) -> bool:
    """Whether a job waits for another try, or belongs to another judge."""
    counts = queue.counts()
    return not queue.paused and bool(counts.get("waiting", 0) or counts.get("running", 0))


def _status(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    from evaluator.judging.inbox import waiting

    counts = queue.counts()
    inbox, free = len(waiting(place, time.time())), _free(place.root)
    if args.json:
        print(json_text({"inbox": inbox, "paused": queue.paused, "jobs": counts, "free_bytes": free}, indent=1))
        return 0
    jobs = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none yet"
    print(one_line(f"{place.rules.name}{' (paused)' if queue.paused else ''}"))
    print(f"inbox: {counted(inbox, 'package')}; jobs: {jobs}; free: {free / 2**30:.1f} GiB")
    return 0


def _free(folder: Path) -> int:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def _choose(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    queue.choose(args.participant, args.numbers, time.time())
    print(one_line(f"{args.participant}: {', '.join(map(str, args.numbers))} will be judged on the private part"))
    return 0


def _board(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    folder = args.out or place.root / "site"
    print(one_line(f"{counted(write_board(place, queue, folder, args.private), 'page')}: {folder / 'index.html'}", 1_000))
    return 0


def write_board(place: Place, queue: Queue, folder: Path, private: bool) -> int:
    """Write the site of a judge. ``private``: with the private part. Returns the number of pages."""
    from evaluator.cli.tracks import named
    from evaluator.judging.board import Scored, scored
    from evaluator.judging.site import write_site

    track = named(place.rules.track, f"{place.root}/judge.toml: track")
    shown: tuple[Part, ...] = ("public", "private") if private else ("public",)
    rows = {part: queue.results(part) for part in shown}
    known = [row["result"]["metric"] for of in rows.values() for row in of if row["result"]]
    metric = track.metric(known[-1]) if known else track.metrics[0]
    parts: dict[str, list[Scored]] = {
        part: [scored(row, metric, track.task_word) for row in of if row["state"] == "done"] for part, of in rows.items()
    }
    return write_site(folder, place.rules.name, parts, metric, track.task_word, time.time())


def _trail(args: argparse.Namespace, place: Place, queue: Queue) -> int:
    events = queue.events()
    if args.json:
        print(json_text(events, indent=1))
        return 0
    for event in events:
        at = datetime.fromtimestamp(event["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        where = " ".join(f"{name} {event[name]}" for name in ("submission", "job") if event[name] is not None)
        detail = ", ".join(f"{name} {value}" for name, value in event["detail"].items())
        print(one_line(f"{at} {event['what']} {where} {detail}".rstrip(), 500))
    return 0


def _time() -> str:
    return datetime.now(UTC).strftime("%H:%M:%S")
