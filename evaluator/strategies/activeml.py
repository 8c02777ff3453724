"""Pool strategies of scikit-activeml as submissions.

scikit-activeml (Kottke et al. 2021, scikit-activeml: A Library and Toolbox for Active Learning Algorithms) is an extra; it is
imported where it is used. Every pool strategy of it runs that needs features and labels and no more, or a classifier, which is then
given: ``supported`` lists them. ``needs`` says what keeps the others out.

**Labels that may hold together.** Its strategies know one class per image; ours have a label vector. A vector counts as one class
here (label powerset, Tsoumakas and Katakis 2007, Multi-Label Classification: An Overview), and all 2^c vectors are classes, seen or
not. The probability of a vector is the product over our logistic regressions, one per class, so rare vectors need no examples of
their own. Two reasons speak for it. Only one query is made, so a batch that is diverse stays so; merged ranks of one query per
class would lose that. And with this model the entropy over vectors is the sum of the binary entropies, and least confidence and
margin over vectors are those of ``uncertainty``: the strategies that both have buy the same images. What it costs: two vectors that
differ in one class are as foreign to each other as two that differ in all.

**Memory and time.** Its strategies may make arrays of n x n and of batch x n. So at most ``candidates`` images of the pool and as
many labelled ones take part in a query, drawn by the seed where there are more, and at most ``batch`` labels are bought by it; a
larger budget is spent in several queries, each of which knows the labels of those before it. The classifier learns from all labels.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from evaluator.strategies import linear
from evaluator.strategies.arrays import as_binary, as_budget, as_embeddings

INSTALL = "pip install -r requirements-activeml.txt"
CANDIDATES = 4000
"""Images of the pool, and labelled images, in a query: 8,000 x 8,000 float64 are 0.5 GiB."""
BATCH = 1000
"""Labels bought by a query."""
SLOW = {"Quire": 200, "ProbabilisticAL": 50}
"""Fewer candidates for the strategy whose time grows with the cube of n, and for that whose memory grows with n x 2^2c."""
CLASSES = 8
"""Most classes: 2^8 label vectors."""

GIVEN = frozenset({"clf", "estimator", "discriminator"})
"""Arguments of a query that the adapter fills in."""
MISSING = {
    "ensemble": "a committee of classifiers",
    "reg": "a regressor, for targets that are numbers",
}
"""What other arguments mean."""
UNFIT = {
    "EpistemicUncertaintySampling": "two classes that exclude each other",
    "ExpectedErrorReduction": "one of its descendants, which define what error it reduces",
    "IntervalEstimationThreshold": "several annotators",
    "MonteCarloEER": "a training for every image and label vector",
    "ParallelUtilityEstimationWrapper": "another strategy to wrap, and processes of its own",
    "SingleAnnotatorWrapper": "several annotators",
    "SubSamplingWrapper": "another strategy to wrap (name that strategy; candidates are drawn here already)",
    "ValueOfInformationEER": "a training for every image and label vector",
}
"""What a signature does not tell."""


class LabelVectors(ClassifierMixin, BaseEstimator):
    """Our linear model as a classifier of scikit-learn whose classes are the 2^c label vectors, numbered by ``encode``.

    Args:
        count: c, the number of labels that may hold together.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def fit(self, X: np.ndarray, y: np.ndarray) -> LabelVectors:
        """Learn from X float (n, d) and numbers of label vectors (n,)."""
        self.classes_ = np.arange(2**self.count)
        self.model_ = linear.fit(np.asarray(X), decode(y, self.count))
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probability of every label vector, float64 (n, 2^c); rows sum to 1."""
        p = self.model_.probabilities(np.asarray(X))
        found = np.ones((len(p), 1))
        for column in p.T[:, :, None]:
            found = np.hstack([found * (1 - column), found * column])
        return found

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Number of the most probable label vector (n,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]


def encode(labels: np.ndarray) -> np.ndarray:
    """Numbers int64 (n,) of label vectors 0/1 (n, c): class k counts 2^k."""
    labels = np.asarray(labels, np.int64)
    return labels @ (1 << np.arange(labels.shape[1]))


def decode(numbers: np.ndarray, count: int) -> np.ndarray:
    """The inverse of ``encode``, int64 (n, count)."""
    return (np.asarray(numbers, np.int64)[:, None] >> np.arange(count)) & 1


def needs(name: str) -> str | None:
    """What a pool strategy of scikit-activeml needs that is not to be had here; None where it runs.

    Raises:
        ImportError: scikit-activeml is not installed; the message says how it is.
        ValueError: it has no pool strategy of that name.
    """
    made = _strategies().get(name)
    if made is None:
        raise ValueError(f"scikit-activeml has no pool strategy {name!r}; these run here: {', '.join(supported())}")
    if name in UNFIT:
        return UNFIT[name]
    wanted = [p for p in _required(made.query) if p not in {"self", "X", "y", *GIVEN}]
    wanted += [p for p in _required(made.__init__) if p not in {"self", "classes"}]
    return " and ".join(MISSING.get(p, f"the argument {p!r}") for p in wanted) or None


def supported() -> list[str]:
    """Names of the pool strategies of the installed scikit-activeml that run here, in order.

    Raises:
        ImportError: it is not installed; the message says how it is.
    """
    return [name for name in sorted(_strategies()) if needs(name) is None]


@dataclass(frozen=True)
class PoolStrategy:
    """A pool strategy of scikit-activeml.

    Attributes:
        name: of its class in ``skactiveml.pool``.
        options: of that class; its seed and classes are given by the adapter.
        candidates: images of the pool in a query, and labelled images; None is ``CANDIDATES``, or less for those in ``SLOW``.
        batch: labels bought by a query.

    Raises:
        ImportError: scikit-activeml is not installed; the message says how it is.
        TypeError: an option that the strategy does not have.
        ValueError: there is no such strategy, it needs what is not to be had here, or a limit is below 2 candidates or 1 label.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    candidates: int | None = None
    batch: int = BATCH

    def __post_init__(self) -> None:
        wanted = needs(self.name)
        if wanted is not None:
            raise ValueError(f"{self.name} of scikit-activeml needs {wanted}; these run here: {', '.join(supported())}")
        known = set(inspect.signature(_strategies()[self.name]).parameters) - {"random_state", "classes", "missing_label"}
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise TypeError(f"{self.name} has no option {', '.join(unknown)}; its options: {', '.join(sorted(known)) or 'none'}")
        if (self.candidates is not None and self.candidates < 2) or self.batch < 1:
            raise ValueError(f"candidates={self.candidates}, batch={self.batch}; 2 or more and 1 or more were expected")

    def purchase(self, learner: Any, market: Any, budget: int) -> None:
        """Spend a budget through ``learner``, in as many queries as the limits ask for.

        Args:
            learner: a ``Learner``, which brings embeddings, labels and the generator.
            market: the unlabelled data set.
        """
        free = np.ones(len(learner.pool), bool)
        left = as_budget(budget, len(free))
        while left:
            rows = np.flatnonzero(free)
            chosen = rows[self.query(learner.x, learner.y, learner.pool[rows], left, learner.rng)]
            learner.buy(market, chosen)
            free[chosen] = False
            left -= len(chosen)

    def query(self, x: Any, y: Any, pool: Any, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Indices int64 (m,) into ``pool`` by one query, in order of choice, never repeated.

        m is the budget, or less where the pool or the limits are smaller. Where the budget reaches for the whole pool, all is taken
        in order of position.

        Args:
            x, y: embeddings float (l, d) and labels 0/1 (l, c) of what is labelled.
            pool: embeddings float (n, d).
            rng: draws the images that take part where there are too many, then the seed of the strategy.

        Raises:
            ValueError: shapes do not fit, nothing is labelled, there are more than ``CLASSES`` classes, or the strategy refuses.
        """
        pool = as_embeddings(pool)
        x, y = as_embeddings(x, "embeddings of labelled images", pool.shape[1]), as_binary(y)
        if len(x) != len(y) or not len(x):
            raise ValueError(f"there are {len(x)} embeddings and {len(y)} labels of labelled images; as many, not 0, were expected")
        if not 1 <= y.shape[1] <= CLASSES:
            raise ValueError(f"there are {y.shape[1]} classes; 1 to {CLASSES} were expected, as every label vector is a class here")
        m = as_budget(budget, len(pool))
        if m in (0, len(pool)):
            return np.arange(m)
        most = self.candidates or SLOW.get(self.name, CANDIDATES)
        among, known = _drawn(len(pool), most, rng), _drawn(len(x), most, rng)
        # Among few of many, half are left, or there would be nothing to choose from.
        m = min(m, self.batch, len(among) if len(among) == len(pool) else most // 2)
        numbers, seed = encode(y), int(rng.integers(2**31))
        rows = np.vstack([x[known], pool[among]])
        labels = np.concatenate([numbers[known], np.full(len(among), np.nan)])
        strategy = self._made(y.shape[1], seed)
        # One thread, or sums would depend on which thread is first.
        with threadpool_limits(1):
            given = self._given(strategy, y.shape[1], seed, (x, numbers), (rows, labels))
            found = _asked(strategy, rows, labels, np.arange(len(known), len(rows)), m, given)
        return among[found - len(known)]

    def _made(self, count: int, seed: int) -> Any:
        made = _strategies()[self.name]
        parameters, options = inspect.signature(made).parameters, dict(self.options)
        if "classes" in parameters:
            options["classes"] = np.arange(2**count)
        if "cluster_algo_dict" in parameters:
            # Clue and DropQuery of 1.0.1 leave their clustering to NumPy's global generator.
            algorithm = options.get("cluster_algo", parameters["cluster_algo"].default)
            if "random_state" in inspect.signature(algorithm).parameters:
                options["cluster_algo_dict"] = {"random_state": seed} | (options.get("cluster_algo_dict") or {})
        return made(**options, random_state=seed)

    def _given(self, strategy: Any, count: int, seed: int, everything: tuple, rows: tuple) -> dict[str, Any]:
        """The arguments of a query beyond features and labels."""
        from skactiveml.classifier import MixtureModelClassifier, ParzenWindowClassifier, SklearnClassifier

        asked = set(inspect.signature(strategy.query).parameters)
        classes = np.arange(2**count)
        # These two ask a classifier for densities, too; it learns from the rows of the query, as it may be quadratic itself.
        densities = {"FourDs": MixtureModelClassifier, "ProbabilisticAL": ParzenWindowClassifier}
        given: dict[str, Any] = {}
        if "discriminator" in asked:
            given["discriminator"] = SklearnClassifier(LogisticRegression(C=linear.STRENGTH, max_iter=300), random_state=seed)
        for name in asked & {"clf", "estimator"}:
            if self.name in densities:
                given[name] = densities[self.name](classes=classes, random_state=seed).fit(*rows)
            else:
                given[name] = SklearnClassifier(LabelVectors(count), classes=classes, random_state=seed).fit(*everything)
            given[f"fit_{name}"] = False
        return given


def _asked(strategy: Any, rows: np.ndarray, labels: np.ndarray, waiting: np.ndarray, m: int, given: dict[str, Any]) -> np.ndarray:
    """``m`` of the rows ``waiting``; a strategy that names a row twice is asked again for the rest."""
    chosen: list[int] = []
    while len(chosen) < m:
        found = strategy.query(rows, labels, candidates=waiting, batch_size=m - len(chosen), **given)
        fresh = [i for i in dict.fromkeys(map(int, found)) if i in waiting]
        if not fresh:
            raise ValueError(f"{type(strategy).__name__} of scikit-activeml chose none of {len(waiting)} candidates")
        chosen += fresh
        waiting = np.setdiff1d(waiting, fresh)
    return np.array(chosen, np.int64)


def _drawn(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """All of ``n`` positions, or ``most`` of them drawn, in order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def _required(function: Any) -> list[str]:
    """Arguments without a default."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds and p.default is p.empty]


def _strategies() -> dict[str, Any]:
    """Every class of pool strategies by name, those for several annotators too."""
    try:
        from skactiveml import pool
        from skactiveml.base import PoolQueryStrategy
        from skactiveml.pool import multiannotator
    except ImportError as error:
        raise ImportError(f"this strategy is part of scikit-activeml, which cannot be imported ({error}); {INSTALL}") from error
    named = {name: getattr(module, name) for module in (pool, multiannotator) for name in module.__all__}
    return {name: value for name, value in named.items() if inspect.isclass(value) and issubclass(value, PoolQueryStrategy)}
