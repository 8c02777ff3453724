"""Writes tables of keys of the TOML files that a person may write, from the types that read them: those of ``docs/files.md``, and
that of ``[image]`` of a judge in ``docs/organisers.md``.

python -m docs.make_keys           write them
python -m docs.make_keys --check   exit 1 where a committed page is not what the types say
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from evaluator.cli.parsing import Prose
from evaluator.files import write_text
from evaluator.judging.image_rules import ImageRules
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import Round
from evaluator.purchase.rule_files import FULL, PROFILE_KEYS, ROUND_DEFAULTS, ROUND_KEYS, ROUND_NEEDED
from evaluator.purchase.track import PURCHASE
from evaluator.report.format import in_cell
from evaluator.sweep.settings import COMMON
from evaluator.training.pipeline import Augmentation, Pipeline

FOLDER = Path(__file__).resolve().parent
PAGES = (FOLDER / "files.md", FOLDER / "organisers.md")
COMMAND = "python -m docs.make_keys"
REGION = re.compile(r"(<!-- keys: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_ENTRY = re.compile(r"([a-z_, ]+): (.*)")
_MORE = re.compile(r"; ``([a-z_]+)``: ")
FROM_PAIRS = "the smallest and the largest of `pairs`"
SPECIAL: dict[str, dict[str, str]] = {
    "round": dict.fromkeys(ROUND_NEEDED, "must be there")
    | {"label_interval": FROM_PAIRS, "minute_interval": FROM_PAIRS, "sizes": "as many as the data have", "profile": "none"},
    "profile": {
        "name": "the round's in `[profile]`, else it must be there",
        "round": "that of `like`, else it must be there",
        "like": "the round at full scale",
        "sizes": "the round's",
        "pairs": "the round's",
        "data_folder": "the profile's name",
        "prediction_seconds": "the round's `prediction_minutes`",
    },
}
"""What holds where a key is absent and no constant says it."""
ADDED = {
    "round": {"profile": "a table `[profile]` of keys of a profile: how the round is run where `--profile` names nothing else"},
    "profile": {"like": "the profile that all other keys are taken from, by name or as a TOML file"},
}
"""Keys of a file that are no fields of the type."""
FILES = {
    "data_folder": "In a file a path such as `./images` is seen from the file's folder; a plain name lies below `data/`.",
    "pipeline": "In a file it may be the path of a `.toml` file, seen from the file's folder.",
    "round": "In a file: a name, the path of a `.toml` file, or a table `[round]`.",
    "pairs": 'In a file: `["621:17", "1321:34"]`.',
}


def attributes(kind: type) -> dict[tuple[str, ...], str]:
    """What the docstring of a type says of its attributes: names that share a sentence, and the sentence."""
    text = (inspect.getdoc(kind) or "").split("\nAttributes:\n", 1)[1]
    found: dict[tuple[str, ...], str] = {}
    for block in re.split(r"\n(?=    \S)", "\n" + text.split("\n\n")[0])[1:]:
        match = _ENTRY.fullmatch(" ".join(block.split()))
        if match is None:
            raise ValueError(f"{kind.__name__}: {block!r} is no entry of its attributes")
        first, *others = _MORE.split(match[2])
        found[tuple(name.strip() for name in match[1].split(","))] = first
        found |= {(name,): said for name, said in zip(others[::2], others[1::2], strict=True)}
    return found


def _rows(kind: type, keys: tuple[str, ...], absent: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, str, str]]:
    defaults = {f.name: f.default if f.default is not MISSING else None for f in fields(kind)} | dict(absent)
    special = SPECIAL.get(name, {})
    seen: set[str] = set()
    for names, said in attributes(kind).items():
        some = tuple(key for key in names if key in keys)
        if not some:
            continue
        seen |= set(some)
        when = [special.get(key) or _shown(defaults[key]) for key in some]
        more = " ".join(FILES[key] for key in some if name and key in FILES)
        sentence = f"{said.rstrip('.')}. {more}".strip()
        yield ", ".join(f"`{key}`" for key in some), ", ".join(dict.fromkeys(when)), sentence
    for key, said in ADDED.get(name, {}).items():
        seen.add(key)
        yield f"`{key}`", special[key], said
    if missing := set(keys) - seen:
        raise ValueError(f"{kind.__name__}: its docstring says nothing of {sorted(missing)}")


def _shown(value: Any) -> str:
    if value is None or value in ("", {}, ()):
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"`{text}`".replace("'", '"')


def table(name: str) -> str:
    """The Markdown table of a kind of file."""
    if name == "sweep":
        found = [(f"`{key.replace('_', '-')}`", "", option.help) for key, option in (COMMON | dict(PURCHASE.options)).items()]
        rows = [f"| {key} | {in_cell(said)} |" for key, _, said in found]
        return "\n".join(["| key | what it is |", "|---|---|", *rows]) + "\n"
    kind, keys, absent = {
        "round": (Round, ROUND_KEYS, ROUND_DEFAULTS),
        "profile": (Profile, PROFILE_KEYS, FULL),
        "pipeline": (Pipeline, tuple(f.name for f in fields(Pipeline)), {}),
        "image": (ImageRules, tuple(f.name for f in fields(ImageRules)), {}),
        "augmentation": (Augmentation, tuple(f.name for f in fields(Augmentation)), {}),
    }[name]
    rows = [f"| {key} | {when} | {in_cell(said.replace('``', '`'))} |" for key, when, said in _rows(kind, keys, absent, name)]
    return "\n".join(["| key | where it is absent | what it is |", "|---|---|---|", *rows]) + "\n"


def wanted(page: Path) -> str:
    """What a page should hold."""
    return REGION.sub(lambda match: match[1] + table(match[2]) + match[4], page.read_text(encoding="utf-8"))


def main() -> int:
    """Write or check the pages; 1 where a check finds one that is not what the types say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Prose)
    parser.add_argument("--check", action="store_true", help="write nothing, and say whether the pages are up to date")
    check = parser.parse_args().check
    old = [page for page in PAGES if page.read_text(encoding="utf-8") != wanted(page)]
    for page in old:
        if check:
            print(f"docs/{page.name} is not what the types say; write it anew: {COMMAND}")
            continue
        write_text(page, wanted(page))
        print(f"written: docs/{page.name}")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
