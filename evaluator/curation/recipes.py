"""How a data set is judged: the fixed model and its training, as frozen recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from evaluator.errors import ConfigurationError
from evaluator.words import meant

Network = Literal["resnet50_stage1", "linear"]
Precision = Literal["float32", "bfloat16"]
NETWORKS = ("resnet50_stage1", "linear")
PRECISIONS = ("float32", "bfloat16")
MOST_EPOCHS, MOST_BATCH, MOST_SIZE = 10_000, 4_096, 128


@dataclass(frozen=True)
class CurationRecipe:
    """A fixed model and its training.

    Attributes:
        name: on the command line.
        network: ``resnet50_stage1``: ResNet-50 cut after the last block of its first stage (``network.py``); ``linear``:
            logistic regression on gray pixels (``linear.py``).
        image_size: pixels per side of what the network sees; images of any shape are stretched to it.
        epochs: walks over the training set. Of ``linear``: penalties that are tried, from the strongest to the weakest.
        batch_size: images of a step; the last step of an epoch takes what is left. ``linear`` takes all at once.
        learning_rate: of Adam; ``linear`` has none.
        precision: of convolutions and matrix products in training and prediction: ``float32`` or ``bfloat16``.
        said: the recipe in words, for tables and stored cells.

    Raises:
        ConfigurationError: a field makes no sense.
    """

    name: str
    network: Network = "resnet50_stage1"
    image_size: int = 32
    epochs: int = 100
    batch_size: int = 8
    learning_rate: float = 1e-4
    precision: Precision = "float32"
    said: str = ""

    def __post_init__(self) -> None:
        whole = {"image_size": (8, MOST_SIZE), "epochs": (1, MOST_EPOCHS), "batch_size": (1, MOST_BATCH)}
        for name, (least, most) in whole.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ConfigurationError(f"recipe {self.name!r}: {name} is {value!r}; expected a whole number, {least} to {most}")
        if not isinstance(self.learning_rate, (int, float)) or not 0 < self.learning_rate <= 1:
            raise ConfigurationError(
                f"recipe {self.name!r}: learning_rate is {self.learning_rate!r}; expected more than 0, up to 1"
            )
        for name, known in (("network", NETWORKS), ("precision", PRECISIONS)):
            value = str(getattr(self, name))
            if value not in known:
                raise ConfigurationError(
                    f"recipe {self.name!r}: {name} is {value!r}{meant(value, known)}; expected {' or '.join(known)}"
                )
        if self.network == "linear" and self.precision != "float32":
            raise ConfigurationError(f"recipe {self.name!r}: the linear model is fitted in float32; expected precision float32")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of ``as_dict``."""
        return cls(**stored)


RECIPES: Mapping[str, CurationRecipe] = {
    recipe.name: recipe
    for recipe in (
        CurationRecipe(
            "fixed",
            said="ResNet-50 cut after its first stage, 32 px, untrained; Adam 1e-4, batches of 8, best of 100 epochs",
        ),
        CurationRecipe(
            "fixed-bf16",
            precision="bfloat16",
            said="as fixed, convolutions and matrix products in bfloat16: another training",
        ),
        CurationRecipe(
            "quick",
            epochs=20,
            batch_size=8,
            learning_rate=3e-4,
            said="as fixed, with 20 epochs and Adam 3e-4: shows the game in a minute or two, and is no score",
        ),
        CurationRecipe(
            "linear",
            network="linear",
            epochs=6,
            batch_size=MOST_BATCH,
            said="logistic regression on 32 x 32 gray pixels, the penalty of six that is best on validation",
        ),
    )
}


def recipe_named(name: str) -> CurationRecipe:
    """The recipe of a name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in RECIPES:
        raise ConfigurationError(
            f"--pipelines: there is no recipe {name!r} of curation{meant(name, RECIPES)}; known: {', '.join(RECIPES)}"
        )
    return RECIPES[name]
