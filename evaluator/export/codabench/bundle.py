"""Makes a bundle: the options of a sweep and the files that they name become reference data, the judge the scoring program."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.data.png import stored_png
from evaluator.errors import ConfigurationError
from evaluator.export.codabench.checks import FILE as COMPETITION
from evaluator.export.codabench.checks import check_bundle
from evaluator.export.codabench.contest import PAGES, Contest, Phase, competition, yaml_text
from evaluator.export.codabench.fields import Problem
from evaluator.export.codabench.order import FILE as ORDER
from evaluator.export.codabench.order import OPTIONS, Order, columns_of, floor_of
from evaluator.export.codabench.pages import TERMS, evaluation, overview, platform
from evaluator.files import temporary_folder
from evaluator.history.index import Index
from evaluator.plans import Option
from evaluator.specs import digest_of
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.forecast import STARTING_SECONDS, Measured
from evaluator.text import name as harmless
from evaluator.track import Track

DATE = (1980, 1, 1, 0, 0, 0)
LEFT_OUT = frozenset(
    {"submissions", "label", "out", "cache", "ray", "workers", "fresh", "mixed_versions", "until", "sandbox", "track"}
)
"""Options of a sweep that are the scoring program's own, or of the machine that it was written on."""
SPARE_SECONDS, SPARE = 120, 1.25
"""Of a run beside its clocks: starting, reading data, and the margin by which machines differ."""
PROGRAM = """\
# Judges one submission with the kit of this image; see evaluator/export/codabench/scoring.py there.
import os
import sys

sys.path.insert(0, os.environ.get("DCK_KIT", "/kit"))
try:
    from evaluator.cli.tracks import named
    from evaluator.export.codabench.scoring import main
except ImportError as error:
    print(f"the judge failed, and nothing is counted: the image holds no kit in /kit ({error.name} is missing)", file=sys.stderr)
    sys.exit(3)
sys.exit(main(os.environ.get("DCK_APP", "/app"), named))
"""
METADATA = "command: python /app/program/score.py\n"
_PACKED = frozenset({".csv", ".txt", ".md", ".json", ".yaml", ".toml", ".py"})


@dataclass(frozen=True)
class Part:
    """A phase and what is judged in it. ``options``: of the sweep, by name, paths absolute; ``experiment``: planned from them."""

    phase: Phase
    options: Mapping[str, Any]
    experiment: Experiment
    order: Order


def planned(
    experiment: Experiment,
    options: Mapping[str, Any],
    phase: Phase,
    *,
    sandbox: str,
    part: str,
    version: int,
    texts: bool,
    seconds: int | None,
    training: float | None,
    answers: bool = False,
) -> Part:
    """A part of a bundle, its time limit computed from the clocks.

    Args:
        experiment: of any submission with ``options``.
        phase: its ``seconds`` are replaced.
        texts: whether pages show what a submission wrote. ``seconds``: the time limit; None to compute it.
        training: seconds of a training where no stored cell tells it. ``answers``: whether answers are judged, too.

    Raises:
        ConfigurationError: a row has no interval, the metric has no worst value, or the duration of a training is not known.
    """
    track, settings = experiment.track, experiment.settings
    if settings.seeds < 2:
        raise ConfigurationError(
            f"--seeds is {settings.seeds}; the board shows an interval over seeds, and needs 2 or more. Give --seeds 2 or more"
        )
    if (
        len(experiment.plan.pipelines) > 1
        or len(experiment.splits) > 1
        or any(len(v) > 1 for v in experiment.plan.conditions.values())
    ):
        raise ConfigurationError("a board has one row for each submission; name one pipeline, one split and one condition")
    metric = track.metric(track.primary(experiment.plan.rules.as_dict()).name)
    limit = clocks(experiment, experiment.index(), training) if seconds is None else seconds
    order = Order(
        track=track.name,
        metric=metric.name,
        word=track.task_word,
        sandbox=sandbox,
        seconds=limit,
        columns=columns_of(metric),
        floor=floor_of(metric),
        part=part,
        version=version,
        texts=texts,
        answers=answers,
    )
    return Part(replace(phase, seconds=limit), options, experiment, order)


def clocks(experiment: Experiment, index: Index, training: float | None) -> int:
    """Seconds that judging one submission can take: all of its clocks, its trainings one after the other, and a margin.

    Args:
        index: of stored cells, which say how long a training takes on this machine.
        training: seconds of a training, whatever they say; None takes theirs.

    Raises:
        ConfigurationError: neither says it, or ``training`` is no positive number.
    """
    if training is not None and not 0 < training < math.inf:
        raise ConfigurationError(f"--training-seconds: {training:g}; expected a number of seconds above 0")
    measured = Measured(index.cells.values())
    answers: dict[str, float] = {}
    total = 0.0
    for spec in experiment.cells:
        answers[spec.answer_digest()] = spec.seconds_allowed + STARTING_SECONDS
        if not spec.trains:
            continue
        found = training
        if found is None:
            found = measured.training(spec, experiment.plan.items.get(spec.task), digest_of(spec.pipeline.as_dict())[:16])
        if found is None:
            raise ConfigurationError(
                f"--training-seconds: how long a training of {spec.pipeline.name} takes is not known, since "
                f"{experiment.settings.out} holds no cell of it. Run a sweep there, or say how many seconds it takes"
            )
        total += found
    return math.ceil(SPARE * (total + sum(answers.values())) + SPARE_SECONDS)


def write_bundle(out: Path, contest: Contest, parts: Sequence[Part], terms: str, public_data: Path | None) -> tuple[Problem, ...]:
    """Write the bundle to the file ``out``, whole or not at all, and hold it against the server's checks.

    Args:
        terms: in Markdown; empty for those of the kit. ``public_data``: a folder for participants.

    Returns:
        What the checks warn of.

    Raises:
        ConfigurationError: a file cannot go into a bundle, or the bundle fails a check; nothing is written.
        OSError: a file cannot be read or written.
    """
    first = parts[0].order
    phases = [part.phase for part in parts]
    texts = {
        COMPETITION: yaml_text(competition(contest, phases, first.columns)),
        "terms.md": terms or TERMS,
        f"pages/{PAGES['Overview']}": overview(contest, first),
        f"pages/{PAGES['Evaluation']}": evaluation(first, phases),
        f"pages/{PAGES['On this platform']}": platform(first),
    }
    with temporary_folder(out.absolute().parent, out.name) as folder:
        made = folder / "bundle.zip"
        with zipfile.ZipFile(made, "w") as archive:
            for path, text in texts.items():
                archive.writestr(_info(path), text.encode())
            archive.writestr(_info("logo.png"), logo())
            for number, part in enumerate(parts):
                _write_task(archive, f"task_{number}", part)
            if public_data is not None:
                for path, source in _files(public_data, "public_data"):
                    _write_file(archive, path, source)
        problems = check_bundle(made)
        if wrong := [problem for problem in problems if problem.kind == "error"]:
            raise ConfigurationError(f"the bundle fails the check {wrong[0].check}: {wrong[0].place}: {wrong[0].text}")
        os.replace(made, out)
    return problems


def _write_task(archive: zipfile.ZipFile, task: str, part: Part) -> None:
    program = {"metadata.yaml": METADATA.encode(), "score.py": PROGRAM.encode(), ORDER: part.order.as_json()}
    for name, content in program.items():
        archive.writestr(_info(f"{task}/scoring_program/{name}"), content)
    text, files = reference(part.options, part.experiment.track)
    archive.writestr(_info(f"{task}/reference_data/{OPTIONS}"), text.encode())
    for path, source in files:
        _write_file(archive, f"{task}/reference_data/{path}", source)


def reference(options: Mapping[str, Any], track: Track) -> tuple[str, list[tuple[str, Path]]]:
    """The options as a file that lies in the reference data, and the files that lie beside it, by their paths there.

    Raises:
        ConfigurationError: a file or folder that an option names is not there, or holds what is no plain file.
    """
    from evaluator.sweep.settings import COMMON

    known: dict[str, Option] = {**COMMON, **track.options}
    lines, files = [], []
    for name, value in sorted(options.items()):
        option = known[name]
        if name in LEFT_OUT or value is None or value is False or value == ():
            continue
        several = list(value) if isinstance(value, tuple) else [value]
        told = []
        for number, member in enumerate(several):
            if option.kind is Path or (option.file and str(member).endswith(".toml")):
                source = Path(member)
                place = f"{name}/{source.name}" if source.is_file() else name
                place = place if len(several) == 1 else f"{name}/{number}/{source.name}"
                files += list(_files(source, place))
                told.append(place)
            else:
                told.append(member)
        lines.append(f"{name.replace('_', '-')} = {_toml(told if option.many else told[0])}")
    return "\n".join(lines) + "\n", files


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _files(source: Path, place: str) -> Iterator[tuple[str, Path]]:
    """Every file of a folder, or the file itself, with its path in the bundle. Hidden files stay."""
    if source.is_file():
        yield place, source
        return
    if not source.is_dir():
        raise ConfigurationError(
            f"{source}: there is no such file or folder; what an option names goes into the bundle. Put it there"
        )
    for parent, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith("."):
                continue
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ConfigurationError(
                    f"{path}: it is a link or no plain file; only plain files go into a bundle. Put the file there"
                )
            yield f"{place}/{path.relative_to(source).as_posix()}", path


def _write_file(archive: zipfile.ZipFile, path: str, source: Path) -> None:
    if harmless(path, 2_000) != path:
        raise ConfigurationError(f"{harmless(path, 200)}: its name cannot be shown; a plain name was expected. Rename it")
    with open(source, "rb") as file, archive.open(_info(path, source.stat().st_size), "w") as out:
        shutil.copyfileobj(file, out)


def _info(path: str, size: int = 0) -> zipfile.ZipInfo:
    """Of a member; equal files give an equal archive."""
    info = zipfile.ZipInfo(path, DATE)
    info.compress_type = zipfile.ZIP_DEFLATED if Path(path).suffix in _PACKED else zipfile.ZIP_STORED
    info.create_system, info.external_attr, info.file_size = 3, (stat.S_IFREG | 0o644) << 16, size
    return info


def logo() -> bytes:
    """A PNG file of 256 pixels a side: bars of a leaderboard."""
    image = np.full((256, 256, 3), 255, np.uint8)
    for row, (width, colour) in enumerate(((200, (31, 119, 180)), (150, (90, 160, 210)), (95, (150, 200, 235)))):
        image[48 + 60 * row : 88 + 60 * row, 28 : 28 + width] = colour
    return stored_png(image)
