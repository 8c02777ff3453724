"""The folder layout of a data set, by name: ``<data set>/<split>/images/*.png|jpg`` and ``<data set>/<split>/labels.csv``."""

SPLITS = ("training", "unlabelled", "validation", "test", "debug")
SCORED_SPLITS = ("validation", "test")
IMAGES = "images"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
LABELS = "labels.csv"
DESCRIPTION = "dataset.json"
"""What the generator writes beside the splits of a data set that it made."""
