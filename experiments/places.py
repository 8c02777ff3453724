"""Where committed figures, pages and pictures are, below the root of the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.page import PICTURES


@dataclass(frozen=True)
class Places:
    """Files that are committed. ``root``: folder of the repository."""

    root: Path

    @property
    def sweeps(self) -> list[Path]:
        """What ``--run`` runs, in order of name."""
        return sorted((self.root / "experiments" / "sweeps").glob("*.toml"))

    def cells(self, proxy: bool) -> Path:
        """The file of cells of the proxy, or of full trainings."""
        return self.root / "experiments" / "cells" / f"strategies-{'proxy' if proxy else 'full'}.json"

    @property
    def cleaning_cells(self) -> Path:
        """The file of cells of the study of the cleaning track."""
        return self.root / "experiments" / "cells" / "cleaning.json"

    @property
    def cleaning_page(self) -> Path:
        """Its page."""
        return self.root / "docs" / "cleaning-results.md"

    @property
    def curation_cells(self) -> Path:
        """The file of cells of the study of the curation track."""
        return self.root / "experiments" / "cells" / "curation.json"

    @property
    def curation_page(self) -> Path:
        """The page that has its part."""
        return self.root / "docs" / "curation.md"

    @property
    def page(self) -> Path:
        """The page of results."""
        return self.root / "docs" / "results.md"

    @property
    def images(self) -> Path:
        """The folder of pictures."""
        return self.root / "docs" / "images"

    @property
    def pictures(self) -> list[Path]:
        """Every picture that the page of results can have."""
        return [self.images / name for name in PICTURES.values()]


HERE = Places(Path(__file__).resolve().parents[1])
