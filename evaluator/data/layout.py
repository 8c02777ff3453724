"""The folder layout of a data set, by name: ``<data set>/<split>/images/*.png|jpg`` and ``<data set>/<split>/labels.csv``."""

from evaluator.worker.pictures import MAX_SIDE as MAX_SIDE

SPLITS = ("training", "unlabelled", "validation", "test", "debug")
SCORED_SPLITS = ("validation", "test")
IMAGES = "images"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
LABELS = "labels.csv"
DESCRIPTION = "dataset.json"
"""What the generator writes beside the splits of a data set that it made."""
RESIZE = ("", "pad", "crop", "stretch")
"""How images that are not square become square; the empty text refuses them."""
MAX_IMAGE_BYTES = 256 * 2**20
"""Largest file of an image: the pixels of the largest image that is read (8192 x 8192), not compressed, have 192 MiB."""
