"""Import official archives, make data, check a data set, write its card."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from rich.table import Table
from rich.text import Text

from evaluator.cli.parsing import add_action
from evaluator.data.layout import RESIZE
from evaluator.errors import ConfigurationError, DataError, KitError
from evaluator.places import CACHE_HELP, DATA, data_place, data_set_place, given_path
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import ROUND1, ROUND2, tables_besides
from evaluator.purchase.rule_files import chosen_profile, with_sizes
from evaluator.report.console import label, line, show_table, terminal
from evaluator.report.live import doing
from evaluator.text import one_line, say
from evaluator.words import counted, was

_NAMED = 12  # classes that a message lists
_PROBE = 32  # pixels that `check` decodes to: every image is read whole, and the copy stays small


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``data`` to the command line."""
    data = subparsers.add_parser(
        "data", help="import, make, check and describe data sets", description="Import, make, check and describe data sets."
    )
    verbs = data.add_subparsers(dest="data_verb", required=True, metavar="VERB")

    verb = add_action(verbs, "import", "unpack an official archive safely")
    verb.add_argument("archive", type=given_path, help="e.g. training-v0.2-rc4.tar.gz")
    verb.add_argument("--out", type=given_path, help="data folder (default: official, in the folder of --cache)")
    verb.add_argument("--to", type=given_path, dest="out", help=argparse.SUPPRESS)  # its name until 0.4
    verb.add_argument("--cache", type=given_path, metavar="DIR", help=CACHE_HELP)
    verb.add_argument("--replace", action="store_true", help="replace a split that already exists")
    _class_options(verb)

    verb = add_action(verbs, "make", "make data with the kit's generator", "--out")
    verb.add_argument(
        "--profile",
        metavar="NAME|FILE",
        help="sizes and image size of this profile, or of your own as a TOML file (default: quick)",
    )
    verb.add_argument("--round", metavar="NAME|FILE", help="another round than the profile's, by name or as a TOML file")
    seed = verb.add_mutually_exclusive_group()
    seed.add_argument("--seed", help="a number, or random128 for a secret seed that is not stored (default: the profile's)")
    seed.add_argument(
        "--seed-file", type=given_path, help="file with a secret seed; if it does not exist, a seed is drawn and written to it"
    )
    verb.add_argument("--shift", help="named distribution for all splits (default: the profile's)")
    verb.add_argument("--image-size", type=int, help="side in pixels (default: the profile's)")
    verb.add_argument(
        "--split", action="append", default=[], metavar="NAME=N", help="make only the splits that are given, with N images each"
    )
    verb.add_argument("--out", type=given_path, help="folder (default: that of the profile, in the folder of --cache)")
    verb.add_argument("--cache", type=given_path, metavar="DIR", help=CACHE_HELP)
    verb.add_argument("--workers", type=int, help="processes (default: one per core)")

    verb = add_action(verbs, "card", "write the card of a data set: counts, frequencies and contact sheets")
    verb.add_argument("folder", type=given_path, nargs="?", help="data set (default: data/quick)")
    verb.add_argument(
        "--out",
        type=given_path,
        help="file to write (default: README.md in the data set's folder; data/README.md for public data that the kit made there)",
    )
    _class_options(verb)

    verb = add_action(verbs, "check", "read every split and image of a data set")
    verb.add_argument("folder", type=given_path, help="a data set, or one split of it")
    _class_options(verb)


def main(args: argparse.Namespace) -> int:
    """Run the verb; 0, or 2 where a check found mistakes."""
    return {"import": _import, "make": _make, "card": _card, "check": _check}[args.data_verb](args)


def _class_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_mutually_exclusive_group()
    group.add_argument(
        "--round", metavar="NAME|FILE", help="round whose classes are read, by name or as a TOML file (default: the classes found)"
    )
    group.add_argument("--profile", metavar="NAME|FILE", help="profile whose round and splits are read, by name or as a TOML file")
    group.add_argument("--classes", help="names with commas between them, for data of your own")
    verb.add_argument(
        "--resize", choices=RESIZE[1:], help="how images that are not square become square (default: that of --round or --profile)"
    )


def _progress(what: str) -> AbstractContextManager[Callable[..., None]]:
    return doing(terminal(stderr=True), what)


def _rules(args: argparse.Namespace) -> Profile | None:
    """The profile of ``--profile`` or ``--round``, whose classes and splits are read; None without them."""
    if args.profile is None and args.round is None:
        return None
    return chosen_profile(args.profile or "", args.round)


def _resize(args: argparse.Namespace) -> str:
    rules = _rules(args)
    return args.resize or (rules.resize if rules else "")


def _classes(args: argparse.Namespace, split: Path) -> tuple[str, ...]:
    """The classes to read: those of the options; else of dataset.json; else of the round whose columns labels.csv has.

    Raises:
        ConfigurationError: the options are wrong, or are needed, because labels.csv has classes of no round of the kit.
    """
    from evaluator.data.card import description
    from evaluator.data.labels import check_classes, class_key, named_classes
    from evaluator.data.layout import LABELS

    if args.classes is not None:
        names = tuple(name.strip() for name in args.classes.split(","))
        try:
            check_classes(names)
        except ConfigurationError as error:
            raise ConfigurationError(f"--classes is {args.classes!r}: {error}") from None
        return names
    if (rules := _rules(args)) is not None:
        return rules.round.classes
    described = description(split.parent).get("classes")
    if isinstance(described, list) and described and all(isinstance(name, str) for name in described):
        return tuple(described)
    try:
        names = named_classes(split / LABELS)
    except DataError:
        return ROUND2.classes  # reading the whole split then reports what is wrong
    keys, known = set(map(class_key, names)), [set(map(class_key, rules.classes)) for rules in (ROUND2, ROUND1)]
    if keys and not keys & known[0]:
        listed = ",".join(names[:_NAMED]) + (",..." if len(names) > _NAMED else "")
        raise ConfigurationError(
            f"{split / LABELS}: it has {counted(len(names), 'class', 'classes')} that no round of the kit has; expected an option "
            f"that names the classes of data of your own. Say --classes {shlex.quote(listed)}, or --round FILE with your round"
        )
    # Only the columns decide: where a cell is wrong, reading the whole split reports it.
    return ROUND2.classes if len(keys ^ known[0]) <= len(keys ^ known[1]) else ROUND1.classes


def _import(args: argparse.Namespace) -> int:
    from evaluator.data.archive import unpack

    to = args.out or data_place(args.cache) / "official"
    with ExitStack() as unpacking:
        progress = unpacking.enter_context(_progress("unpacking"))

        def accept(folder: Path, names: tuple[str, ...]) -> None:
            unpacking.close()  # the reading has a progress of its own

            def said(text: str) -> str:
                return text.replace(f"{folder}{os.sep}", f"{args.archive}, ")

            try:
                refused = _report([folder / name for name in names], args, said)
            except KitError as error:
                raise type(error)(said(str(error))) from error
            if refused:
                raise DataError(
                    f"{args.archive}: {counted(refused, 'split')} of {len(names)} cannot be used as it is; nothing was imported. "
                    "Correct what is named above, and pack the archive anew"
                )

        result = unpack(args.archive, to, replace=args.replace, progress=progress, accept=accept)
    for name, images in result.images.items():
        print(one_line(f"imported {to / name}: {counted(images, 'image')}", 5_000))
    if result.left_out:
        print(f"{counted(result.left_out, 'other file')} of the archive {was(result.left_out)} left out")
    return 0


def _seed(args: argparse.Namespace, default: int) -> tuple[int, bool]:
    """The seed, and whether it is secret."""
    if args.seed_file is not None:
        try:
            text = args.seed_file.read_text("utf-8-sig").strip()
        except FileNotFoundError:
            text = str(secrets.randbits(128))
            # Written before the data is made: if the seed were lost, the data could not be made again.
            args.seed_file.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(args.seed_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(text + "\n")
            print(one_line(f"a secret seed was drawn and kept in {args.seed_file}", 5_000))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"--seed-file: {args.seed_file} cannot be read ({error}); expected a file with one number"
            ) from error
        if not (text.isascii() and text.isdecimal()):
            raise ConfigurationError(f"--seed-file: {args.seed_file} holds no seed; expected one number of 128 bits")
        return int(text), True
    if args.seed is None:
        return default, False
    if args.seed == "random128":
        return secrets.randbits(128), True
    if not (args.seed.isascii() and args.seed.isdecimal()):
        raise ConfigurationError(f"--seed is {args.seed!r}; it must be a number of 0 or more, or random128")
    return int(args.seed), False


def _sizes(args: argparse.Namespace, default: dict[str, int]) -> dict[str, int]:
    sizes = {}
    for item in args.split:
        name, _, count = item.partition("=")
        if not name or not (count.isascii() and count.isdecimal()) or name in sizes:
            raise ConfigurationError(f"--split is {item!r}; write NAME=N once per split, e.g. training=100")
        sizes[name] = int(count)
    return sizes or dict(default)


def _make(args: argparse.Namespace) -> int:
    from evaluator.data.make import DataSpec, make_dataset

    profile = chosen_profile(args.profile or ("" if args.round else "quick"), args.round)
    folder = args.out or data_place(args.cache) / profile.data_folder
    size = profile.image_size if args.image_size is None else args.image_size
    sizes = _sizes(args, profile.sizes)
    shift = args.shift or profile.shift
    shifted = {} if args.shift else {split: other for split, other in profile.shifted.items() if split in sizes}
    # Bad options are refused before a secret seed is drawn and written.
    DataSpec(0, size, sizes, profile.round.classes, shift, shifted=shifted)
    seed, secret = _seed(args, profile.data_seed)
    spec = DataSpec(seed, size, sizes, profile.round.classes, shift, secret=secret, shifted=shifted)
    with _progress("rendering") as progress:
        make_dataset(folder, spec, workers=args.workers, progress=progress)
    kind = "a secret seed, which is not in dataset.json" if secret else f"seed {seed}"
    lines = ", ".join([shift, *(f"{other} for {split}" for split, other in shifted.items())])
    counts = ", ".join(f"{name} {count}" for name, count in sizes.items())
    print(one_line(f"{folder}: {counts}; {size} px, shift {lines}, {kind}", 5_000))
    return 0


def _card(args: argparse.Namespace) -> int:
    from evaluator.data.card import description, splits_in, write_card

    folder = args.folder or data_set_place("quick")
    classes = _classes(args, splits_in(folder)[0])
    out = args.out or _card_page(folder, description(folder))
    with _progress(f"reading {folder.name}"):
        write_card(folder, classes, out, besides=tables_besides(classes), resize=_resize(args), guide=out == DATA / "README.md")
    print(one_line(f"wrote {out} and the pictures in {out.parent / 'card'}", 5_000))
    return 0


def _card_page(folder: Path, about: dict) -> Path:
    """Where a card is written without ``--out``. Only the kit's own public data have their card on the kit's page, which git keeps.

    Raises:
        ConfigurationError: a page lies there that is no card.
    """
    from evaluator.data.card import WRITTEN

    if about.get("generated") and not about.get("secret") and folder.resolve().parent == DATA.resolve():
        return DATA / "README.md"
    page = folder / "README.md"
    try:
        with open(page, encoding="utf-8", errors="replace") as file:
            known = file.read(len(WRITTEN)) == WRITTEN
    except FileNotFoundError:
        return page
    except OSError as error:
        raise ConfigurationError(
            f"{page}: it cannot be read ({error.strerror}); expected a card. Name a file with --out"
        ) from error
    if not known:
        raise ConfigurationError(f"{page}: it is no card that this command wrote; expected none there. Name a file with --out")
    return page


def _check(args: argparse.Namespace) -> int:
    from evaluator.data.card import splits_in
    from evaluator.data.layout import IMAGES, LABELS
    from evaluator.purchase.sets import needed_splits

    if (args.folder / IMAGES).is_dir() or (args.folder / LABELS).is_file():
        return 2 if _report([args.folder], args) else 0
    rules = _rules(args)
    if rules is not None:
        with_sizes(rules, args.folder)  # refuses a draw of more images than there are
    # A split that an evaluation reads and that is not there is refused here as it is there.
    needed = [] if rules is None else [args.folder / name for name in needed_splits(rules)]
    return 2 if _report(list(dict.fromkeys([*splits_in(args.folder), *needed])), args) else 0


def _report(folders: list[Path], args: argparse.Namespace, said: Callable[[str], str] = str) -> int:
    """Read every split, decode every image and print a table. Returns the number of splits that have a fault.

    Args:
        said: how a message is said; paths in it may be none that a person knows.
    """
    from evaluator.data.cache import cache_images
    from evaluator.data.folders import read_split

    table = Table("split", "images", "classes", "damages per image", "labels.csv was read as", "content")
    errors = []
    for folder in folders:
        try:
            classes = _classes(args, folder.resolve())
            split = read_split(folder, classes, besides=tables_besides(classes))
            with tempfile.TemporaryDirectory() as scratch, _progress(f"decoding {split.name}") as progress:
                cache_images(split, _PROBE, Path(scratch), progress=progress, resize=_resize(args))
        except DataError as error:
            errors.append(str(error))
            table.add_row(label(folder.name), "-", "-", "-", Text("refused", "red"), "-")
            continue
        mean = f"{split.labels.sum(1).mean():.2f}"
        table.add_row(label(split.name), str(len(split)), str(len(split.classes)), mean, line(split.note), split.digest[:12])
    show_table(terminal(), table)
    for text in errors:
        say(f"error: {said(text)}")
    return len(errors)
