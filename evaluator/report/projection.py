"""Many dimensions as two, for maps: principal components, and t-SNE by openTSNE, an extra."""

from __future__ import annotations

import numpy as np

from evaluator.errors import ConfigurationError

LARGE = 256
"""Rows and columns from which on not all components are computed."""
COMPONENTS = 50
"""Principal components that t-SNE starts from."""
MISSING = "--map tsne needs openTSNE, which is not installed; run `pip install -r requirements-report.txt`, or leave the option out"


def principal(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first principal components, float64 (n, count), and the share of the variance that each explains.

    Of every component the sign is chosen so that its largest weight is positive; equal vectors then give equal maps.
    """
    centred = vectors - vectors.mean(axis=0)
    n, d = centred.shape
    if min(n, d) > LARGE:  # the few largest of many, by iteration from a fixed start
        from scipy.sparse.linalg import svds

        _, scales, axes = svds(centred, k=count, v0=np.ones(min(n, d)), solver="arpack")
        axes, values = axes[::-1].T, scales[::-1] ** 2
    else:
        _, scales, rows = np.linalg.svd(centred, full_matrices=False)
        axes, values = rows[:count].T, scales[:count] ** 2
    axes = axes * np.where(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], 0)[0] < 0, -1.0, 1.0)
    points = centred @ axes
    if points.shape[1] < 2:
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    return points, values / max(float(np.square(centred).sum()), 1e-12)


def tsne(points: np.ndarray) -> np.ndarray:
    """The points arranged by t-SNE, float64 (n, 2), the same for the same points.

    Raises:
        ConfigurationError: openTSNE is not installed.
    """
    try:
        import openTSNE
    except ImportError:
        raise ConfigurationError(MISSING) from None
    perplexity = min(30.0, max(1.0, (len(points) - 1) / 3))
    found = openTSNE.TSNE(
        n_components=2, perplexity=perplexity, initialization="pca", random_state=0, n_jobs=1, negative_gradient_method="bh"
    )
    return np.asarray(found.fit(points), np.float64)


def check_tsne() -> None:
    """Refuse to begin where openTSNE is missing.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import openTSNE  # noqa: F401 - used later
    except ImportError:
        raise ConfigurationError(MISSING) from None
