"""How a judge builds an image for each submission (``[image]`` of ``judge.toml``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evaluator.errors import ConfigurationError
from evaluator.submission.image import INDEX, NETWORKS
from evaluator.text import name as harmless
from evaluator.words import meant

GIB = 2**30


@dataclass(frozen=True)
class ImageRules:
    """How images are built.

    Attributes:
        base: name of the kit's image on every machine that judges; empty for the image that the kit uses there anyway.
        network: of the build: ``default`` (the engine's bridge), ``host`` or ``none``. A submission that runs has none.
        index: address of a package index in the place of PyPI, without user and password.
        wheels: folder of wheels, seen from the judge's folder, that packages come from without any index.
        sources: whether packages that have no wheel are built, which runs code of their authors.
        seconds: largest duration of a build.
        memory: GiB that the processes of a build have.
        largest: GiB by which an image may be larger than its base.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    base: str = ""
    network: str = "default"
    index: str = ""
    wheels: str = ""
    sources: bool = False
    seconds: float = 900.0
    memory: float = 4.0
    largest: float = 8.0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ConfigurationError(
                f"network is {self.network!r}{meant(self.network, NETWORKS) or '; it must be ' + ', '.join(NETWORKS)}"
            )
        if self.index and (not INDEX.fullmatch(self.index) or "@" in self.index):
            raise ConfigurationError(
                "index is no address of a package index; expected https://host/path without user, password and blanks. Packages of "
                "an index with a password can be put into a folder: wheels"
            )
        if self.index and self.wheels:
            raise ConfigurationError("index and wheels are both there; packages come from one of them. Leave one out")
        if self.base and (self.base.startswith("-") or not self.base.isprintable() or " " in self.base):
            raise ConfigurationError(f"base is {harmless(self.base)!r}; expected the name of an image, e.g. data-centric-kit:0.3.0")
        for name, value, most in (
            ("seconds", self.seconds, 86_400),
            ("memory", self.memory, 10_000),
            ("largest", self.largest, 10_000),
        ):
            if not 0 < value <= most:
                raise ConfigurationError(f"{name} is {value:g}; expected more than 0, and at most {most:,}")

    def options(self, root: Path) -> list[str]:
        """The options of ``python -m evaluator image build`` that say the same. ``root``: the judge's folder."""
        return [
            *(("--base", self.base) if self.base else ()),
            *("--network", self.network, "--seconds", f"{self.seconds:g}"),
            *("--memory", f"{self.memory:g}", "--largest", f"{self.largest:g}"),
            *(("--index-url", self.index) if self.index else ()),
            *(("--wheels", str(root / self.wheels)) if self.wheels else ()),
            *(("--sources",) if self.sources else ()),
        ]

    def hidden(self) -> tuple[str, ...]:
        """What of these rules a build may say, and no participant needs to know: where packages come from and what lies below."""
        host = urlsplit(self.index).netloc if self.index else ""
        return tuple(text for text in (self.index, host, host.partition(":")[0], self.base) if text)
