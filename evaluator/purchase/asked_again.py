"""How stored rules and pipelines are asked for again: by the names of the kit, or by files and what they must hold.

A result holds the whole profile with its round, and the whole pipeline; of the files that they came from it holds nothing. So what
such a file must hold is written anew: other words than in the person's own file, and the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from evaluator.purchase.profiles import PROFILES, Profile
from evaluator.purchase.rounds import ROUNDS
from evaluator.purchase.rule_files import chosen_profile
from evaluator.toml_keys import toml_text
from evaluator.training.recipes import PIPELINES


def asked_for(profile: Mapping[str, Any], private: bool = False) -> tuple[list[str], dict[str, str]]:
    """The options that name a stored profile, and the files that they need: content by name.

    Args:
        profile: as stored (``Profile.as_dict``).
        private: leave out the seed that the generator's data follow from, since whoever has it can make the data, labels and all.
    """
    stored = Profile.from_dict(profile)
    for words, known in _of_the_kit():
        if replace(known, sizes=known.sizes or stored.sizes).as_dict() == stored.as_dict():
            return words, {}
    name = f"{stored.name}.toml"
    return ["--profile", name], {name: _profile_text(stored, private)}


def _of_the_kit() -> Iterator[tuple[list[str], Profile]]:
    """Every profile that names of the kit make, alone or with a round, and the options that name it."""
    for name, profile in PROFILES.items():
        yield ["--profile", name], profile
    for name in ROUNDS:
        for scale in PROFILES:
            yield ["--round", name, "--profile", scale], chosen_profile(scale, name)


def _profile_text(profile: Profile, private: bool) -> str:
    plain = dict(profile.as_dict())
    rules = {name: value for name, value in plain.pop("round").items() if value not in ("", {})}
    plain = {name: value for name, value in plain.items() if value != {} or name == "sizes"}
    if private:
        del plain["data_seed"]
    plain |= {"pairs": [pair.name for pair in profile.pairs]}
    rules |= {"pairs": [pair.name for pair in profile.round.pairs]}
    of_kit = ROUNDS.get(profile.round.name) == profile.round
    whole = {"name": plain.pop("name"), "round": profile.round.name} | plain if of_kit else plain | {"round": rules}
    return toml_text(whole)


def pipeline_for(pipeline: Mapping[str, Any], asked: str) -> tuple[str, dict[str, str]]:
    """What names a stored pipeline on a command line, and the file that it needs: content by name.

    Args:
        pipeline: as stored, adapted to the profile or not; ``asked``: its name before it was adapted.
    """
    if asked in PIPELINES:
        return asked, {}
    name = f"{asked}.toml"
    return name, {name: toml_text(pipeline)}
