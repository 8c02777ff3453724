"""Makes the plan of a sweep in the purchase track: checks every choice, reads the data and makes the specs. Nothing is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path

from evaluator.errors import ConfigurationError, WeightsError
from evaluator.machine import cores
from evaluator.plans import Choices, Making, Plan, Step, Task
from evaluator.purchase.label_quality import quality_warnings
from evaluator.purchase.pairs import NamedPair, choose_pairs, outside_warnings
from evaluator.purchase.profiles import PROFILES, Profile
from evaluator.purchase.rounds import NODE_CPUS, Pair
from evaluator.purchase.rule_files import chosen_profile, place_in, with_sizes
from evaluator.purchase.sets import RoundSets, cost_of, numbered, provide_data, read_sets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.purchase.weights_folder import folder_identity
from evaluator.submission.source import Source
from evaluator.training import recipes
from evaluator.training.pipeline import Pipeline
from evaluator.words import counted

START = {"none": "random weights", "procedural": "the kit's own weights"}
"""What the names of starting weights mean, in words."""


def make_plan(choices: Choices, step: Step = lambda what, done, total: None) -> Plan:
    """Check every choice, read the data (generated data are made if they are missing), and make the spec of every cell.

    All tasks of a seed come before the next seed, so that a run that is cut short has complete seeds. All pipelines of a task and
    seed follow each other, because they share a purchase.

    Raises:
        KitError: a choice makes no sense, or data or weights are missing or wrong.
    """
    options = choices.options
    stated = profile = chosen_profile(choices.profile, options.get("round"))
    folder = Path(choices.data or profile.data_place or choices.data_set(profile.data_folder)).absolute()
    profile = with_sizes(profile, folder)
    pairs = choose_pairs(options["pairs"], profile, options["round_seed"], None if choices.secret is None else choices.root)
    weights = choices.starting_weights or profile.weights
    try:
        asked = [recipes.load_pipeline(name) for name in choices.pipelines or (profile.pipeline_file or profile.pipeline,)]
        pipelines = tuple(recipes.fitted(pipeline, profile.image_size, weights) for pipeline in asked)
    except ConfigurationError as error:
        where = "--pipelines" if choices.pipelines else place_in(profile, "pipeline")
        raise ConfigurationError(f"{where}: {error}") from error
    splits = choices.score_splits or (profile.round.score_split,)
    _check(choices, profile, pipelines, splits)
    cache = choices.folder.absolute() / ".cache"
    participant = "" if choices.weights_dir is None else folder_identity(choices.weights_dir, cache, step)

    def cells(
        split: str, quality: float, source: Source, start: Sequence[str], data: dict[str, str], data_set: int = 0
    ) -> list[PurchaseSpec]:
        return [
            PurchaseSpec(
                **choices.common(source),
                profile=profile,
                pair=named.pair,
                seed=seed,
                pipeline=pipeline,
                weights=identity,
                data=data,
                data_set=data_set,
                score_split=split,
                label_quality=quality,
                on_timeout=options["on_timeout"],
                restart=options["restart_workers"],
                participant_weights=participant,
                worker_threads=node_threads(),
            )
            for seed in choices.seeds
            for named in pairs
            for pipeline, identity in zip(pipelines, start, strict=True)
        ]

    # Specs check their fields when they are made: a wrong choice is then reported before the data are read.
    for quality in options["label_quality"]:
        cells(splits[0], quality, choices.submissions[0], [""] * len(pipelines), {})
    found, making = _data_sets(choices, profile, folder, splits, step)
    sets = next((of for of in found.values() if of), {})
    start = [_starting_weights(pipeline, profile) if choices.trains else "none" for pipeline in pipelines]
    first = next(iter(sets.values()), None)
    qualities = options["label_quality"]
    return Plan(
        rules=profile,
        tasks=tuple(_task(named, profile) for named in pairs),
        pipelines=pipelines,
        no_pipeline="the participant's own predictions are scored" if profile.round.scores == "participant" else "",
        fitted_from={p.name: a.name for p, a in zip(pipelines, asked, strict=True) if p.name != a.name},
        cells=tuple(
            spec
            for source in choices.submissions
            for quality in qualities
            for number, of in found.items()
            for split in splits
            for spec in cells(split, quality, source, start, of[split].digests() if of else {}, number)
        ),
        data=dict.fromkeys(splits) | sets,
        data_sets=found if choices.data_sets != (0,) else {},
        making=making,
        digests={split: of.digests() for split, of in sets.items()},
        items={named.pair.name: _items(profile, named, first) for named in pairs},
        warnings=(
            *_round_warnings(stated, sets),
            *_budget_warnings(profile, pairs),
            *outside_warnings(pairs, profile.round),
            *_weights_warnings(choices.starting_weights, asked, profile),
            *(quality_warnings(profile, first, qualities, choices.root, choices.seeds) if first else ()),
        ),
        shown=_shown(choices, profile, pairs, pipelines, first),
    )


def _data_sets(
    choices: Choices, profile: Profile, folder: Path, splits: Sequence[str], step: Step
) -> tuple[dict[int, dict[str, RoundSets]], Making | None]:
    """The data sets by number and scored split, made where they are missing; and what that costs, where several are asked for.

    A data set that is not to be made (``Choices.make_data``) has no splits.

    Raises:
        ConfigurationError: data sets are asked for, and the kit does not make the profile's data.
        DataError: a split is missing or wrong.
    """
    if choices.data_sets != (0,) and not profile.generated:
        raise ConfigurationError(
            f"--data-sets: the kit does not make the data of the profile {profile.name}, so there is one data set. Leave the "
            "option out, or choose a profile whose data are made, e.g. rare"
        )
    rules = {number: numbered(profile, number) for number in choices.data_sets}
    folders = {number: choices.data_set(of.data_folder).absolute() if number else folder for number, of in rules.items()}
    missing = [number for number, place in folders.items() if number and not place.exists()]
    seconds, size = cost_of(profile)
    making = Making(len(rules), len(missing), seconds / cores(), size) if choices.data_sets != (0,) else None
    for number, place in folders.items() if choices.data is None else ():
        if number not in missing or choices.make_data:
            of = f"data set {number} ({missing.index(number) + 1} of {len(missing)}): " if number in missing else ""
            provide_data(rules[number], place, partial(_said, step, of))

    def read(number: int, split: str) -> RoundSets:
        cache = choices.folder.absolute() / ".cache"
        of = f"data set {number}: " if number else ""
        said = partial(_said, step, of)
        return read_sets(rules[number], folders[number], score_split=split, cache=cache, step=said, secret=choices.secret)

    there = [number for number in rules if number not in missing or choices.make_data]
    return {number: {split: read(number, split) for split in splits} if number in there else {} for number in rules}, making


def _said(step: Step, before: str, what: str, done: int, total: int) -> None:
    step(before + what, done, total)


def _check(choices: Choices, profile: Profile, pipelines: Sequence[Pipeline], splits: Sequence[str]) -> None:
    names = [pipeline.name for pipeline in pipelines]
    if len(set(names)) != len(names):
        raise ConfigurationError(f"--pipelines: {', '.join(names)} were given; name each once")
    if len(pipelines) > 1 and profile.round.scores == "participant":
        raise ConfigurationError(
            f"--panel: {profile.round.name} scores the participant's own predictions and trains no pipeline. Leave --panel out"
        )
    if profile.round.scores == "participant" and (answer := next((s for s in choices.submissions if s.answer), None)):
        raise ConfigurationError(
            f"{answer.name}: it is a ledger, and {profile.round.name} scores the participant's own predictions, which a ledger has "
            "not. Submit a strategy"
        )
    qualities = choices.options["label_quality"]
    for name, given in (("pairs", choices.options["pairs"]), ("label-quality", qualities)):
        if not given:
            raise ConfigurationError(f"--{name}: no value was given; leave the option out, or give a value")
    if wrong := [quality for quality in qualities if not 0.5 <= quality <= 1]:
        raise ConfigurationError(f"--label-quality is {wrong[0]:g}; it must be from 0.5 to 1")
    if len(set(qualities)) != len(qualities):
        raise ConfigurationError(f"--label-quality: a value is given more than once: {', '.join(map(str, qualities))}")


def _round_warnings(profile: Profile, sets: Mapping[str, RoundSets]) -> list[str]:
    """Whether today is no day of the round, seeds have nothing to draw from, or the data have not the sizes that a file states."""
    found = [f"{why}." for why in [profile.round.outside(date.today())] if why]
    counts = {name: count for some in sets.values() for name, count in some.counts().items()}
    found += [
        f"the data have {counted(counts[name], 'image')} in {name}, and every seed draws {drawn}: all seeds have the same {name} "
        "images."
        for name, drawn in profile.drawn.items()
        if counts[name] <= drawn
    ]
    if profile.name in PROFILES:
        return found
    stated = {name: count for name, count in profile.sizes.items() if counts.get(name, count) != count}
    other = [f"{counts[name]} in {name}, not {count}" for name, count in stated.items()]
    if other:
        found.append(f"the data do not have the sizes that the profile {profile.name} states: {'; '.join(other)} images.")
    return found


def _budget_warnings(profile: Profile, pairs: Sequence[NamedPair]) -> list[str]:
    """A warning if no label can be bought at some pairs, and how many labels a pair must name."""
    empty = [named.pair.name for named in pairs if profile.budget(named.pair) == 0]
    if not empty:
        return []
    near = int(0.5 / profile.budget_scale)  # a budget is rounded; counting from 1 on would take long with a small scale
    least = next(labels for labels in count(near) if profile.budget(Pair(labels, 1)))
    return [
        f"--pairs {', '.join(empty)}: the profile {profile.name} scales the label budget to 0, so nothing can be bought; "
        f"name {counted(least, 'label')} or more for 1 label here."
    ]


def _weights_warnings(given: str | None, asked: Sequence[Pipeline], profile: Profile) -> list[str]:
    """Whether ``--starting-weights`` has no effect."""
    if given is None:
        return []
    option = f"--starting-weights {given} has no effect"
    if profile.round.scores == "participant":
        return [f"{option}: {profile.round.name} scores the participant's own predictions and trains no pipeline."]
    own = [pipeline for pipeline in asked if pipeline.weights not in ("imagenet", given)]
    return [
        f"{option} on the pipeline {pipeline.name}, which starts from {START.get(pipeline.weights, pipeline.weights)}: the option "
        "only says what stands in for ImageNet's weights."
        for pipeline in own
    ]


def _task(named: NamedPair, profile: Profile) -> Task:
    figures = {"budget": profile.budget(named.pair), "seconds_allowed": profile.seconds(named.pair)}
    return Task(named.pair.name, named.kind, figures)


def _items(profile: Profile, named: NamedPair, sets: RoundSets | None) -> int:
    """The largest number of items that a training can have; how many labels will be bought is not known yet."""
    there = profile.sizes if sets is None else sets.counts()
    counts = {name: min(count, profile.drawn.get(name, count)) for name, count in there.items()}
    return counts["training"] + min(profile.budget(named.pair), counts["unlabelled"])


def _shown(
    choices: Choices, profile: Profile, pairs: Sequence[NamedPair], pipelines: Sequence[Pipeline], sets: RoundSets | None
) -> tuple[tuple[str, str], ...]:
    counts = ", ".join(f"{n} {name}" for name, n in (profile.sizes if sets is None else sets.counts()).items())
    forms = {} if sets is None else {name: split.note for name, split in sets.splits.items()}
    notes = (
        "; ".join(dict.fromkeys(forms.values()))
        if len(set(forms.values())) == 1
        else "; ".join(f"{name}: {note}" for name, note in forms.items())
    )
    rows = [
        ("profile", f"{profile.name} of {profile.round.name}: {profile.image_size} px, {counts}"),
        *([("labels.csv", notes)] if notes else []),
        ("pairs", "; ".join(profile.describe(n.pair) + (f" ({n.kind})" if n.kind != "public" else "") for n in pairs)),
    ]
    if profile.drawn:
        drawn = ", ".join(f"{n} {name}" for name, n in profile.drawn.items())
        rows.insert(1, ("each seed", f"draws {drawn}"))
    if choices.also:
        rows.append(("data and cache", str(choices.folder)))
    wrong = [
        f"at quality {q:g} {1 - q:.1%} of the label entries that the market sells are wrong"
        for q in choices.options["label_quality"]
        if q < 1
    ]
    return (*rows, *([("labels", "; ".join(wrong))] if wrong else []))


def _starting_weights(pipeline: Pipeline, profile: Profile) -> str:
    """Identity of a pipeline's starting weights, so that changed weights give other cells.

    Raises:
        WeightsError: the weights cannot be loaded; the message comes before anything is run.
    """
    if pipeline.architecture == "linear" or profile.round.scores == "participant":
        return "none"
    from evaluator.training.weights import starting_weights_identity

    try:
        return starting_weights_identity(pipeline.weights, pipeline.architecture)
    except WeightsError as error:
        raise WeightsError(f"pipeline {pipeline.name!r}: {error}") from error


def node_threads() -> int:
    """Number of threads for the worker: that of the round's node, at most the cores of this machine."""
    return min(NODE_CPUS, cores())
