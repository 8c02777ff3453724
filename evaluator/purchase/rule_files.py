"""Rounds and profiles of one's own: TOML files with the keys of ``Round`` and ``Profile``. ``docs/files.md`` lists every key.

A round file needs ``name``, ``classes`` and ``pairs``. Its table ``[profile]`` says how the round is run where ``--profile`` names
nothing else. A profile file names its round (a name, a file, or a table ``[round]``), and may begin from another profile
(``like = "quick"``). What is stored with a result is the whole profile with its round, never the name of a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any, get_type_hints

from evaluator.bounded import read_toml
from evaluator.data.layout import IMAGE_SUFFIXES, IMAGES, SPLITS
from evaluator.errors import ConfigurationError
from evaluator.purchase.profiles import PROFILES, Profile, profile_named
from evaluator.purchase.rounds import ROUNDS, Pair, Round
from evaluator.toml_keys import check_keys, place_of, place_of_value, typed
from evaluator.training.recipes import load_pipeline
from evaluator.words import meant

SUFFIX = ".toml"
FULL = {
    "image_size": 224,
    "budget_scale": 1.0,
    "seconds_per_minute": 60.0,
    "pipeline": "round2",
    "data_seed": 2022,
}
"""What a profile says where its file says nothing: the round at full scale."""
ROUND_DEFAULTS: dict[str, Any] = {
    "sizes": {},
    "prediction_minutes": 10.0,
    "scores": "organiser",
    "primary_metric": "macro_f1",
    "score_split": "validation",
    "prediction_split": "validation",
}
"""What a round says where its file says nothing."""
ROUND_NEEDED = ("name", "classes", "pairs")
SCALE = (
    *("image_size", "budget_scale", "seconds_per_minute", "pipeline", "pipeline_file", "weights"),
    *("prediction_seconds", "load_seconds", "embeddings", "embeddings_by"),
)
"""What a profile named by ``--profile`` gives to the round of ``--round``, whose data are its own."""
PAIRS = list[str]
WORD = dict.fromkeys(("scores", "primary_metric", "weights", "resize"), str)
"""Values of a few words: the types themselves say which."""
ROUND_HINTS = get_type_hints(Round) | {"pairs": PAIRS, "opens": date, "closes": date} | WORD
ROUND_KEYS = (*(f.name for f in fields(Round)), "profile")
PROFILE_HINTS = get_type_hints(Profile) | {"pairs": PAIRS, "round": str | dict[str, Any], "like": str} | WORD
PROFILE_KEYS = (*(f.name for f in fields(Profile) if f.compare), "like")
FILES = {
    "round": ("the file of a round", "--round", ("classes",)),
    "profile": (
        "the file of a profile",
        "--profile",
        ("like", *(key for key in PROFILE_KEYS if key not in (*ROUND_KEYS, "round"))),
    ),
    "options": ("a file of options", "--file", ("seeds", "submissions", "track", "pipelines")),
}
"""Kinds of TOML files that are easily taken for each other: what each is, the option that takes it, and keys that no other has."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_file(name: str) -> bool:
    """Whether what was given for a name is the path of a file."""
    return name.endswith(SUFFIX)


def chosen_profile(profile: str, rules: str | None = None) -> Profile:
    """The profile that ``--profile`` and ``--round`` name together.

    Args:
        profile: a name of the kit, or a TOML file; empty for the round at full scale, or as its own file says.
        rules: name or TOML file of the round; None for that of the profile.

    Raises:
        ConfigurationError: there is no such name, or a file is not good.
    """
    if rules is None:
        return read_profile(Path(profile).expanduser()) if is_file(profile) else profile_named(profile or "quick")
    if is_file(profile):
        return read_profile(Path(profile).expanduser(), named_round(rules))
    given, table = _round_and_table(rules)
    if is_file(rules):
        own = _made(Path(rules).expanduser(), table, given, None, "profile")
    else:
        own = next((known for known in PROFILES.values() if known.round == given and known.sizes == given.sizes), _full(given))
    if not profile:
        return own
    named = profile_named(profile)
    if not set(given.classes) <= set(named.round.classes) or "data_folder" in table:
        scaled = {name: getattr(named, name) for name in SCALE}
        return replace(own, name=f"{given.name}-{named.name}", pairs=given.pairs, **scaled)
    # The profile's data have these classes. Data that are made of fewer classes are other data.
    name = f"{given.name}-{named.name}"
    folder = name if named.generated and given.classes != named.round.classes else named.data_folder
    return replace(named, name=name, round=given, pairs=given.pairs, resize=own.resize, data_folder=folder)


def named_round(name: str) -> Round:
    """The round of a name or of a TOML file.

    Raises:
        ConfigurationError: there is no such round, or the file is not good.
    """
    return _round_and_table(name)[0]


def read_profile(file: Path, rules: Round | None = None) -> Profile:
    """The profile of a TOML file.

    Args:
        rules: the round of ``--round``; None for that of the file.

    Raises:
        ConfigurationError: naming file, line and key.
    """
    plain = _toml(file, "profile")
    if why := other_file(plain, "profile"):
        raise ConfigurationError(f"{file}: {why}")
    check_keys(file, plain, PROFILE_KEYS, "a profile")
    given = typed(file, plain, PROFILE_HINTS)
    if rules is not None and "round" in given:
        raise ConfigurationError(f"--round: the profile {file} names a round of its own; leave --round out, or the key round")
    like = None
    if "like" in given:
        like = chosen_profile(_beside(file, given.pop("like")))
    if rules is None and "round" in given:
        inside = given.pop("round")
        rules = (
            _read_round(file, inside, "round")[0]
            if isinstance(inside, dict)
            else named_round(_beside(file, inside) if is_file(inside) else inside)
        )
    rules = rules or (like.round if like else None)
    if rules is None:
        raise ConfigurationError(f'{file}: it has no key round; write round = "round2", the path of a round\'s file, or [round]')
    return _made(file, given, rules, like, "")


def other_file(plain: Mapping[str, Any], wanted: str) -> str:
    """What a file is that was given where another kind was wanted, and which option takes it, in words; empty if it may be right.

    Args:
        plain: its content; ``wanted``: a key of ``FILES``.
    """
    marks = {name: next((key for key in keys if key in plain), "") for name, (_, _, keys) in FILES.items()}
    if isinstance(plain.get("profile"), str):  # of a round it is a table
        marks["options"] = marks["options"] or "profile"
    if "round" in plain and (wanted != "options" or isinstance(plain["round"], dict)):  # of options it is a name
        marks["profile"] = marks["profile"] or "round"
    if marks[wanted]:  # with a key too many, of which the keys' own check speaks
        return ""
    name = next((name for name in ("options", "round", "profile") if marks[name]), "")
    if not name:
        return ""
    what, option, _ = FILES[name]
    advice = f"Give it to {option}"
    if (name, wanted) == ("round", "profile"):
        advice += "; where a command has no --round, write its keys into a table [round] of a profile's file"
    return f"it is {what} (it has the key {marks[name]}); {FILES[wanted][0]} was expected. {advice}"


def with_sizes(profile: Profile, folder: Path) -> Profile:
    """The profile with the sizes of the data in ``folder``, where it states none.

    Raises:
        ConfigurationError: its file says that more images are drawn than there are; the message names file and line.
    """
    if not folder.is_dir() or (profile.sizes and not (profile.file and profile.drawn)):
        return profile
    sizes = counted_sizes(folder)
    try:
        counted = replace(profile, sizes=sizes)
        return profile if profile.sizes else counted
    except ConfigurationError as error:
        there = ", ".join(f"{count:,} {split}" for split, count in sizes.items()) or "none"
        raise ConfigurationError(f"{place_in(profile, 'drawn')}: {error}. {folder} holds these images: {there}") from None


def place_in(profile: Profile, key: str) -> str:
    """Where a profile states a key: file and line, as far as it has them; else the profile's name."""
    if not profile.file:
        return f"profile {profile.name}"
    file = Path(profile.file)
    places = (place_of(file, key, table) for table in ("", "profile"))
    return next((place for place in places if place != profile.file), profile.file)


def counted_sizes(folder: Path) -> dict[str, int]:
    """Images per split that lie in a data folder, for a profile that does not say how many there are."""
    found = {}
    for split in SPLITS:
        images = folder / split / IMAGES
        if images.is_dir():
            names = (path.name for path in images.iterdir())
            found[split] = sum(name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".") for name in names)
    return {split: count for split, count in found.items() if count}


def _round_and_table(name: str) -> tuple[Round, dict[str, Any]]:
    """The round, and the table ``[profile]`` of its file."""
    if is_file(name):
        file = Path(name).expanduser()
        plain = _toml(file, "round")
        if why := other_file(plain, "round"):
            raise ConfigurationError(f"{file}: {why}")
        return _read_round(file, plain, "")
    if name not in ROUNDS:
        said = meant(name, ROUNDS) or f"; choose one of {', '.join(ROUNDS)}, or name a TOML file"
        raise ConfigurationError(f"--round: there is no round {name!r}{said}")
    return ROUNDS[name], {}


def _read_round(file: Path, plain: Mapping[str, Any], table: str) -> tuple[Round, dict[str, Any]]:
    """The round of a file or of its table ``[round]``."""
    keys = [key for key in ROUND_KEYS if not (table and key == "profile")]
    check_keys(file, plain, keys, "a round", table)
    given = typed(file, plain, ROUND_HINTS, table)
    own = given.pop("profile", {})
    if not isinstance(own, dict):
        raise ConfigurationError(
            f"{place_of(file, 'profile')}: profile is a value; expected a table [profile] of keys of a profile"
        )
    check_keys(file, own, set(PROFILE_KEYS) - {"round", "like"}, "the profile of a round", "profile")
    for key in ROUND_NEEDED:
        if key not in given:
            raise ConfigurationError(f"{file}: a round needs the key {key}. Add it; docs/files.md shows a whole file")
    given["pairs"] = _pairs(file, given["pairs"], table)
    _check_name(file, given["name"], ROUNDS, "round", table)
    labels, minutes = [pair.labels for pair in given["pairs"]], [pair.minutes for pair in given["pairs"]]
    rules: dict[str, Any] = ROUND_DEFAULTS | {
        "label_interval": (min(labels, default=0), max(labels, default=0)),
        "minute_interval": (min(minutes, default=0), max(minutes, default=0)),
    }
    for key in ("opens", "closes"):
        if isinstance(day := given.get(key), date):
            given[key] = day.isoformat()
    own = typed(file, own, PROFILE_HINTS, "profile")
    with _told(file, given, table):
        return Round(**rules | given), own


def _made(file: Path, given: Mapping[str, Any], rules: Round, like: Profile | None, table: str) -> Profile:
    """A profile of what its file gives; the rest is that of ``like``, or of the round at full scale."""
    own_data = like is None or not set(rules.classes) <= set(like.round.classes)
    if like is None:
        base = _full(rules)
    elif own_data:
        base = replace(_full(rules), **{name: getattr(like, name) for name in SCALE})
    else:
        base = replace(like, round=rules)
    values = dict(given)
    name = values.get("name", rules.name if like is None else "")
    if not name:
        raise ConfigurationError(f"{file}: a profile needs the key name. Add it")
    _check_name(file, name, PROFILES, "profile", table)
    values["name"] = name
    if "sizes" in values:
        values.setdefault("drawn", {})  # a draw belongs to the sizes that it draws from
    if "pairs" in values:
        values["pairs"] = _pairs(file, values["pairs"], table)
    elif like is not None and like.round != rules:
        values["pairs"] = rules.pairs
    folder = values.get("data_folder", "")
    if "/" in folder:
        place = (file.parent / Path(folder).expanduser()).absolute()
        values |= {"data_folder": place.name or name, "data_place": str(place)}
    elif own_data and not folder:
        values["data_folder"] = name
    if is_file(pipeline := values.get("pipeline", "")):
        values |= {"pipeline": Path(pipeline).stem, "pipeline_file": _beside(file, pipeline)}
    if pipeline:
        _check_pipeline(file, values.get("pipeline_file", pipeline), table)
    values["file"] = str(file)
    with _told(file, given, table):
        return replace(base, **values)


def _full(rules: Round) -> Profile:
    """A round at full scale."""
    return Profile(
        name=rules.name,
        round=rules,
        sizes=dict(rules.sizes),
        pairs=rules.pairs,
        data_folder=rules.name,
        prediction_seconds=rules.prediction_minutes * 60.0,
        **FULL,  # type: ignore[arg-type]
    )


class _told:
    """Within it, an error of a value names the file, and the line of the key that the message begins with."""

    def __init__(self, file: Path, given: Mapping[str, Any], table: str) -> None:
        self.file, self.given, self.table = file, given, table

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ConfigurationError):
            where = place_of_value(self.file, self.given, str(error), self.table)
            raise ConfigurationError(f"{where}: {error}") from None


def _pairs(file: Path, words: list[str], table: str) -> tuple[Pair, ...]:
    where = place_of(file, "pairs", table)
    try:
        pairs = tuple(Pair.parse(word[:100]) for word in words)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    for pair in pairs:
        if pairs.count(pair) > 1:
            raise ConfigurationError(f"{where}: the pair {pair.name} stands in pairs more than once; name it once")
    return pairs


def _check_pipeline(file: Path, pipeline: str, table: str) -> None:
    """Refuse a pipeline that does not exist or is not good, where it is named."""
    try:
        load_pipeline(pipeline)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place_of(file, 'pipeline', table)}: {error}") from None


def _check_name(file: Path, name: str, known: Mapping[str, Any], what: str, table: str) -> None:
    where = place_of(file, "name", table)
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: name is {name[:80]!r}; write letters, digits, '.', '-' and '_', at most 64")
    if name in known:
        raise ConfigurationError(f"{where}: name is {name!r}, as a {what} of the kit is called; give it a name of its own")


def _beside(file: Path, name: str) -> str:
    """A path in a file is seen from the file's folder; a name stays a name."""
    return str((file.parent / Path(name).expanduser()).absolute()) if is_file(name) else name


def _toml(file: Path, what: str) -> dict[str, Any]:
    try:
        return read_toml(file)
    except OSError as error:
        raise ConfigurationError(
            f"--{what}: {file} cannot be read ({error.strerror}); name a TOML file, see docs/files.md"
        ) from None
