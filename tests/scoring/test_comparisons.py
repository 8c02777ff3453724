"""Comparisons equal SciPy's tests, corrections equal hand-computed ones, and over thousands of grids noise is called noise."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from evaluator.scoring.comparisons import Comparisons, Difference, Finding, compare, means
from evaluator.scoring.intervals import Interval, t_interval
from evaluator.scoring.observations import collapsed, joined, numbered, of_copies
from evaluator.scoring.paired import (
    EXACT_SEEDS,
    decide,
    deciding_p,
    fewest_seeds,
    holm,
    paired_tests,
    rounding_of,
    sign_flip_p,
    skew_p,
)
from evaluator.scoring.scores import OVER_PAIRS, Scores
from evaluator.seeds import generator

NAN = float("nan")


def scores_of(values, strategies=None, pairs=None) -> Scores:
    values = np.asarray(values, dtype=np.float64)
    names = strategies or ("random", *(f"strategy{s}" for s in range(1, len(values))))
    return Scores(names, pairs or tuple(f"pair{p}" for p in range(values.shape[1])), tuple(range(values.shape[2])), values)


def drawn_scores(name, shape=(5, 3, 10), failed=0) -> Scores:
    rng = generator(1, "test comparisons", name)
    values = 0.5 + 0.1 * rng.standard_normal(shape) + 0.2 * rng.standard_normal(shape[1:])
    values += 0.08 * np.arange(shape[0])[:, None, None]
    for place in rng.choice(values.size, failed, replace=False):
        values.flat[place] = NAN
    return scores_of(values)


def likely(count: int, trials: int, chance: float) -> bool:
    """Whether a binomial count lies inside all but a millionth of its distribution."""
    low, high = stats.binom.interval(1 - 1e-6, trials, chance)
    return low <= count <= high


# The container


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": ("a", "a")}, "strategies are"),
        ({"strategies": ()}, "strategies are"),
        ({"seeds": (1, 1, 2)}, "seeds are"),
        ({"values": np.zeros((2, 3, 1))}, "of shape"),
        ({"values": np.full((2, 1, 3), np.inf)}, "the score of a, p, seed 0 is inf"),
    ],
)
def test_scores_refuse_what_has_no_meaning(changes, message):
    right = {"strategies": ("a", "b"), "pairs": ("p",), "seeds": (0, 1, 2), "values": np.zeros((2, 1, 3))}
    Scores(**right)
    with pytest.raises(ValueError, match=message):
        Scores(**(right | changes))


def test_scores_refuse_what_is_no_number():
    with pytest.raises(TypeError, match="must be numbers"):
        Scores(("a",), ("p",), (0,), np.array([[[None]]]))


def test_scores_cannot_change_behind_their_back():
    values = np.zeros((1, 1, 2))
    scores = Scores(("a",), ("p",), (0, 1), values)
    values[:] = 7
    assert scores.values.tolist() == [[[0, 0]]]
    with pytest.raises(ValueError, match="read-only"):
        scores.values[:] = 7


def test_a_mean_over_pairs_needs_every_pair():
    scores = scores_of([[[1, 2, 3], [3, NAN, 5]]])
    np.testing.assert_array_equal(scores.over_pairs().values, [[[2, NAN, 4]]])
    assert scores.over_pairs().pairs == (OVER_PAIRS,)


def test_scores_on_some_pairs_keep_their_names():
    scores = scores_of([[[1], [2], [3]]])
    part = scores.on(["pair2", "pair0"])
    assert (part.pairs, part.values.ravel().tolist()) == (("pair2", "pair0"), [3, 1])
    with pytest.raises(ValueError, match="no pair 'pair9'"):
        scores.on(["pair9"])


def test_a_contrast_of_pairs_is_taken_seed_by_seed():
    scores = scores_of([[[1, 2, 3], [3, 4, 5], [0, NAN, 1]], [[1, 1, 1], [1, 1, 1], [2, 2, 2]]])
    less = scores.contrast(["pair0", "pair1"], ["pair2"], "first two less third")
    np.testing.assert_array_equal(less.values, [[[2, NAN, 3]], [[-1, -1, -1]]])
    assert (less.pairs, less.strategies) == (("first two less third",), scores.strategies)
    with pytest.raises(ValueError, match="no pair 'pair9'"):
        scores.contrast(["pair0"], ["pair9"], "x")


# The tests against SciPy


@pytest.mark.parametrize("failed", [0, 20])
def test_p_values_and_intervals_equal_scipy(failed):
    scores = drawn_scores("scipy", failed=failed)
    for d in compare(scores, alpha=0.1).per_pair:
        pair = scores.pairs.index(d.pair)
        ours, base = scores.of(d.strategy)[pair], scores.of("random")[pair]
        expected = stats.ttest_rel(ours, base, nan_policy="omit")
        interval = expected.confidence_interval(0.9)
        assert d.p_t == pytest.approx(float(expected.pvalue), rel=1e-9)
        assert d.p == max(d.p_t, skew_p(ours - base))
        assert (d.decider == "t") == (d.p == d.p_t)
        assert (d.difference.low, d.difference.high) == pytest.approx((float(interval.low), float(interval.high)), rel=1e-9)
        assert d.difference.level == 0.9
        kept = (ours - base)[~np.isnan(ours - base)]
        assert d.deviation == pytest.approx(kept.std(ddof=1))
        assert d.n == len(kept)
        assert d.n + len(d.left_out) == 10
        ours_exact = stats.permutation_test(
            (kept,),
            lambda x, axis: np.abs(x.mean(axis=axis)),
            permutation_type="samples",
            alternative="greater",
            n_resamples=np.inf,
        )
        assert d.p_permutation == pytest.approx(ours_exact.pvalue)


def test_over_pairs_is_the_test_of_the_means_over_pairs():
    scores = drawn_scores("over pairs")
    for d in compare(scores).overall:
        expected = stats.ttest_rel(scores.of(d.strategy).mean(axis=0), scores.of("random").mean(axis=0))
        assert d.p_t == pytest.approx(float(expected.pvalue), rel=1e-9)
        assert d.pair == OVER_PAIRS


def test_exact_and_drawn_sign_flips_agree():
    rng = generator(1, "test flips")
    differences = rng.standard_normal((20, EXACT_SEEDS)) + 0.4
    exact = sign_flip_p(differences)
    padded = np.concatenate([differences, np.zeros((20, 1))], axis=1)  # a zero changes no sum, but makes it one too many to try all
    drawn = sign_flip_p(padded, flips=20_000)
    assert np.abs(exact - drawn).max() < 0.015
    assert (sign_flip_p(padded, flips=20_000) == drawn).all()
    assert (sign_flip_p(padded, flips=20_000, root=1) != drawn).any()
    assert drawn.min() >= 1 / 20_001


def test_exact_sign_flips_by_hand():
    # 8 flips of (1, 2, 3): sums 6, 4, 2, 0, 0, -2, -4, -6; of those, 2 are at least 6 away from 0, 4 at least 4, and so on.
    assert sign_flip_p(np.array([1.0, 2, 3])) == 2 / 8
    assert sign_flip_p(np.array([-1.0, 2, 3])) == 4 / 8
    assert sign_flip_p(np.array([1.0, 2, -3])) == 1
    assert sign_flip_p(np.array([1.0, NAN, 2, 3, NAN])) == 2 / 8
    assert np.isnan(sign_flip_p(np.array([NAN, NAN])))
    assert sign_flip_p(np.zeros(4)) == sign_flip_p(np.zeros(40)) == 1


def test_a_drawn_p_is_never_zero():
    # None of 999 flips of 60 equal differences comes near; the one seen is one of 1000 all the same.
    assert sign_flip_p(np.ones(60), flips=999) == 1 / 1000


# Holm's correction


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 x .005, 3 x .01, 2 x .03, then .04 lifted to .06
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.6, 0.9, 0.7], [1, 1, 1]),
        ([0.03], [0.03]),
        ([0.01, NAN, 0.04], [0.02, NAN, 0.04]),  # a family of two
        ([NAN], [NAN]),
        ([], []),
    ],
)
def test_holm_by_hand(raw, expected):
    np.testing.assert_allclose(holm(np.array(raw)), expected, atol=1e-15)


@given(hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)), st.randoms(use_true_random=False))
def test_holm_only_raises_and_keeps_the_order(p, random):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert adjusted.min() == min(1, p.min() * len(p))
    shuffled = random.sample(range(len(p)), len(p))
    assert (holm(p[shuffled]) == adjusted[shuffled]).all()
    both = holm(np.stack([p, p[shuffled]]))  # a row is a family of its own
    assert (both[0] == adjusted).all()


@pytest.mark.parametrize("p", [[1.1], [-0.1]])
def test_holm_refuses_what_is_no_chance(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(np.array(p))


def test_families():
    scores = drawn_scores("families")
    by_pair, table = compare(scores), compare(scores, family="table")
    for pair in scores.pairs:
        rows = [d for d in by_pair.per_pair if d.pair == pair]
        assert [d.p_holm for d in rows] == pytest.approx(holm(np.array([d.p for d in rows])).tolist())
        assert {d.family for d in rows} == {4}
    assert [d.p_holm for d in table.per_pair] == pytest.approx(holm(np.array([d.p for d in table.per_pair])).tolist())
    assert {d.family for d in table.per_pair} == {12}
    assert [d.p_holm for d in table.overall] == [d.p_holm for d in by_pair.overall]
    assert [d.p_holm for d in table.overall] == pytest.approx(holm(np.array([d.p for d in table.overall])).tolist())


# Findings and edge cases


def finding_of(ours, base, **settings) -> Difference:
    return compare(scores_of([[base], [ours]]), **settings).overall[0]


def test_words():
    base = [0.5, 0.6, 0.55, 0.52, 0.61, 0.58]
    up, down = [b + 0.1 + 0.01 * (k % 2) for k, b in enumerate(base)], [b - 0.1 - 0.01 * (k % 3) for k, b in enumerate(base)]
    assert finding_of(up, base).finding == "better"
    assert finding_of(down, base).finding == "worse"
    assert finding_of([b + 0.1 * (-1) ** k for k, b in enumerate(base)], base).finding == "within noise"
    # Shown alone, but not among so many: the correction decides, too.
    one = np.array([0.01, 0.02, 0.005, 0.03, 0.002, 0.02])
    values = [base, np.array(base) + one, *([[b + 0.1 * (-1) ** k for k, b in enumerate(base)]] * 8)]
    alone, among = finding_of(values[1], base), compare(scores_of(np.array(values)[:, None])).of("strategy1")
    assert alone.p == among.p
    assert alone.p < 0.05 < among.p_holm
    assert (alone.finding, among.finding) == (Finding.BETTER, Finding.NOISE)
    assert among.difference.low > 0


def test_identical_scores_differ_by_nothing():
    found = finding_of([0.1, 0.7, 0.4], [0.1, 0.7, 0.4])
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0, None, None)
    assert (found.p, found.p_holm, found.p_permutation, found.finding) == (None, None, None, Finding.FLAT)


def test_scores_that_differ_by_rounding_alone_are_identical():
    base = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9])
    for failed in ([], [2]):
        base[failed] = NAN
        found = finding_of(base + np.spacing(base), base)
        assert (found.difference.mean, found.p, found.p_permutation, found.finding) == (0, None, None, Finding.FLAT)


@pytest.mark.parametrize("n", [2, 6, 20])
def test_a_difference_without_spread_has_neither_p_nor_interval_nor_finding(n):
    base = np.linspace(0.1, 0.7, n)
    found = finding_of(base + 0.1, base)
    assert found.difference == Interval(pytest.approx(0.1), None, None, n, 0.95)
    assert (found.deviation, found.p, found.p_holm, found.decider, found.finding) == (None, None, None, None, "no spread")
    assert found.family == 0  # and it takes nothing from the tests beside it


@pytest.mark.parametrize(("n", "finding"), [(5, "too few seeds"), (6, "better")])
def test_fewer_seeds_than_the_sign_flips_need_show_nothing(n, finding):
    assert fewest_seeds(0.05) == 6
    assert (fewest_seeds(0.5), fewest_seeds(0.0625)) == (3, 6)  # 2 / 2**n must lie below
    base = np.linspace(0.1, 0.7, n)
    found = finding_of(base + 0.1 + 0.001 * np.arange(n), base)
    assert found.p < 1e-4
    assert found.finding == finding


# Copies


def test_seeds_with_the_same_answer_and_inputs_are_one_observation():
    rng = generator(1, "test copies")
    values = 0.5 + 0.001 * rng.standard_normal((3, 2, 10)) + np.array([0, 0.05, 0.05])[:, None, None]
    copies = np.broadcast_to(np.arange(10), (3, 2, 10)).copy()
    copies[:2] = 0  # random and strategy1 bought the same on all seeds
    scores = Scores(("random", "strategy1", "strategy2"), ("p", "q"), tuple(range(10)), values, copies=copies)
    found = compare(scores)
    alone, beside = found.of("strategy1"), found.of("strategy2")
    assert (alone.finding, alone.n, alone.seeds, alone.p, alone.family) == (Finding.COPIES, 1, 10, None, 1)
    assert alone.difference.mean == pytest.approx((values[1] - values[0]).mean())
    assert (beside.finding, beside.n, beside.seeds) == (Finding.BETTER, 10, 10)  # a new observation on one side is a new difference
    assert [(m.interval.n, m.interval.low is None, m.seeds) for m in means(scores)][:3] == [
        (1, True, 10),
        (1, True, 10),
        (10, False, 10),
    ]
    # Two answers among ten seeds are two observations, the mean of each.
    copies[1] = np.arange(10) % 2
    two = compare(Scores(scores.strategies, scores.pairs, scores.seeds, values, copies=copies)).of("strategy1", "p")
    of = (values[1] - values[0])[0]
    assert (two.finding, two.n, two.seeds) == (Finding.FEW, 2, 10)
    assert two.deviation == pytest.approx(np.std([of[::2].mean(), of[1::2].mean()], ddof=1))


def test_copies_over_pairs_are_copies_on_every_pair():
    first, second = np.array([0, 0, 1, 1]), np.array([5, 6, 7, 7])
    assert joined(first, second).tolist() == [0, 1, 2, 2]
    copies = np.stack([first, second])[None]
    scores = Scores(("a",), ("p", "q"), (0, 1, 2, 3), np.zeros((1, 2, 4)), copies=copies)
    assert scores.over_pairs().numbers[0, 0].tolist() == [0, 1, 2, 2]
    assert scores.on(["p"]).over_pairs().numbers[0, 0].tolist() == [0, 0, 1, 1]
    assert scores.contrast(["p"], ["q"], "p less q").numbers[0, 0].tolist() == [0, 1, 2, 2]


def test_what_is_not_known_is_no_copy():
    assert numbered(["a", None, "a", None]) == [0, 1, 0, 2]
    assert of_copies([1, 2, 3, 4], ["a", None, "a", None]) == [2, 2, 4]
    values = np.array([[1.0, NAN, 3.0, 5.0]])
    np.testing.assert_array_equal(collapsed(values, np.array([0, 0, 0, 1])), [[2, NAN, NAN, 5]])
    assert collapsed(values, np.arange(4)) is values


# Failures


def with_failures(values: np.ndarray, failed: np.ndarray) -> Scores:
    whole = scores_of(np.where(failed, NAN, values))
    return Scores(whole.strategies, whole.pairs, whole.seeds, whole.values, failed)


def test_one_seed_decides_nothing():
    found = finding_of([0.9, NAN], [0.1, 0.2])
    assert found.finding == "too few seeds"
    assert found.difference == Interval(0.8, None, None, 1, 0.95)
    assert (found.p, found.p_holm, found.p_permutation, found.deviation, found.left_out) == (None, None, None, None, (1,))
    assert not found.doubtful


def test_no_seed_in_common():
    found = finding_of([0.9, NAN], [NAN, 0.2])
    assert (found.finding, found.difference, found.n, found.left_out) == ("no seed in common", None, 0, (0, 1))


def test_doubt_is_said_where_the_two_tests_part():
    # One seed far out: the t-test is blinded by it, the sign flips are not.
    base = np.zeros(12)
    found = finding_of([0.01] * 11 + [9.0], base)
    assert found.p > 0.05 > found.p_permutation
    assert found.doubtful
    assert found.finding == Finding.NOISE
    assert not finding_of([0.01, 0.011, 0.0101], [0, 0, 0]).doubtful  # three seeds cannot give a sign-flip p below 0.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, "alpha is 0"),
        ({"reference": "full_pool"}, "no strategy 'full_pool'"),
        ({"family": "all"}, "family is 'all'"),
        ({"flips": 0}, "0 flips"),
    ],
)
def test_compare_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        compare(drawn_scores("refusals", (2, 1, 20)), **settings)


def test_compare_refuses_the_reference_alone():
    with pytest.raises(ValueError, match="needs another strategy"):
        compare(scores_of([[[1, 2]]]))


@pytest.mark.parametrize(
    "changes",
    [{"p": None}, {"p_holm": 0.001}, {"alpha": 5}, {"difference": Interval(0, None, None, 1, 0.95)}, {"difference": None}],
)
def test_a_difference_checks_itself(changes):
    right = finding_of([0.1, 0.2, 0.3], [0.2, 0.2, 0.2])
    fields = {name: getattr(right, name) for name in right.__dataclass_fields__}
    Difference(**fields)
    with pytest.raises(ValueError):  # noqa: PT011 (each has a message of its own)
        Difference(**(fields | changes))


def test_a_comparison_is_found_by_name():
    found = compare(drawn_scores("names"))
    assert isinstance(found, Comparisons)
    assert found.of("strategy2", "pair1") == found.per_pair[5]
    assert found.of("strategy2") == found.overall[1]
    with pytest.raises(KeyError, match="'random'"):
        found.of("random")


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_means_are_t_intervals(level):
    scores = drawn_scores("means", failed=20)
    for mean in means(scores, level):
        values = scores.of(mean.strategy)[scores.pairs.index(mean.pair)]
        expected = t_interval(values[~np.isnan(values)], level)
        assert mean.interval.n == expected.n
        found = (mean.interval.mean, mean.interval.low, mean.interval.high)
        assert found == pytest.approx((expected.mean, expected.low, expected.high))
        assert mean.left_out == tuple(np.flatnonzero(np.isnan(values)))


def test_a_strategy_without_a_score_has_no_mean():
    (mean,) = means(scores_of([[[NAN, NAN]]]))
    assert (mean.interval, mean.left_out) == (None, (0, 1))


# Contracts


def numbers(found: Comparisons, name: str) -> list:
    values = [getattr(d, name) for d in (*found.overall, *found.per_pair)]
    return [NAN if value is None else value for value in values]


FEW = settings(max_examples=40, deadline=None)


@FEW
@given(st.integers(0, 10**6), st.floats(-5, 5), st.floats(0.01, 100))
def test_shift_and_scale_change_no_finding(seed, shift, scale):
    scores = drawn_scores(seed, (4, 2, 8), failed=4)
    by_seed = generator(seed, "shift").standard_normal((1, 1, 8))
    moved = scores_of(scale * (scores.values + shift + by_seed))
    found, after = compare(scores), compare(moved)
    for name in ("p", "p_holm", "p_permutation"):
        np.testing.assert_allclose(numbers(after, name), numbers(found, name), rtol=1e-6)
    assert numbers(after, "finding") == numbers(found, "finding")
    np.testing.assert_allclose(numbers(after, "deviation"), scale * np.array(numbers(found, "deviation")), rtol=1e-6)


@FEW
@given(st.permutations(range(5)), st.permutations(range(16)))
def test_the_order_of_strategies_and_seeds_is_of_no_consequence(order, seeds):
    scores = drawn_scores("order", (5, 2, 16), failed=6)
    names = [scores.strategies[s] for s in order]
    found = compare(scores)
    after = compare(Scores(names, scores.pairs, scores.seeds, scores.values[order]))
    assert {(d.strategy, d.pair): d for d in (*after.overall, *after.per_pair)} == {
        (d.strategy, d.pair): d for d in (*found.overall, *found.per_pair)
    }
    shuffled = compare(Scores(scores.strategies, scores.pairs, [scores.seeds[s] for s in seeds], scores.values[:, :, seeds]))
    np.testing.assert_allclose(numbers(shuffled, "p_holm"), numbers(found, "p_holm"), rtol=1e-9)


@FEW
@given(st.integers(1, 4), st.integers(0, 2), st.lists(st.integers(0, 17), min_size=1, max_size=17, unique=True))
def test_a_failed_cell_takes_the_finding_of_its_own_strategy_alone(strategy, pair, failed):
    scores = drawn_scores("failures", (5, 3, 18))
    there = np.zeros(scores.values.shape, bool)
    there[strategy, pair, failed] = True
    found, after = compare(scores), compare(with_failures(scores.values, there))
    name, where = scores.strategies[strategy], scores.pairs[pair]
    for before, now in zip((*found.overall, *found.per_pair), (*after.overall, *after.per_pair), strict=True):
        if now.strategy != name or now.pair not in (where, OVER_PAIRS):
            assert (now.difference, now.p) == (before.difference, before.p)
        else:
            assert (now.difference, now.p, now.finding) == (None, None, Finding.FAILED)
    spoilt = {(m.strategy, m.pair): (m.interval is None, m.failed) for m in means(with_failures(scores.values, there))}
    assert spoilt == {(s, p): ((s, p) == (name, where),) * 2 for s in scores.strategies for p in scores.pairs}


@FEW
@given(st.integers(1, 4), st.integers(0, 2), st.lists(st.integers(0, 17), min_size=1, max_size=17, unique=True))
def test_a_cell_that_was_not_run_touches_its_own_strategy_alone(strategy, pair, failed):
    scores = drawn_scores("failures", (5, 3, 18))
    values = scores.values.copy()
    values[strategy, pair, failed] = NAN
    found, after = compare(scores), compare(scores_of(values))
    name, where = scores.strategies[strategy], scores.pairs[pair]
    for before, now in zip((*found.overall, *found.per_pair), (*after.overall, *after.per_pair), strict=True):
        if now.strategy != name or now.pair not in (where, OVER_PAIRS):
            assert (now.difference, now.p, now.p_permutation, now.left_out) == (
                before.difference,
                before.p,
                before.p_permutation,
                (),
            )
        else:
            assert now.left_out == tuple(sorted(failed))
            assert now.n == 18 - len(failed)
    # What is left gives what those seeds alone give.
    rest = [k for k in range(18) if k not in failed]
    alone = compare(scores_of(scores.values[:, :, rest]))
    assert after.of(name, where).difference.mean == pytest.approx(alone.of(name, where).difference.mean)
    assert after.of(name, where).p == pytest.approx(alone.of(name, where).p)


def test_a_failed_cell_of_the_reference_touches_all():
    scores = drawn_scores("reference")
    values = scores.values.copy()
    values[0, 1, 3] = NAN
    found = compare(scores_of(values))
    assert {d.left_out for d in found.per_pair if d.pair == "pair1"} == {(3,)} == {d.left_out for d in found.overall}
    assert {d.left_out for d in found.per_pair if d.pair != "pair1"} == {()}
    broken = compare(with_failures(scores.values, np.isnan(values)))
    assert {d.finding for d in broken.per_pair if d.pair == "pair1"} == {Finding.FAILED} == {d.finding for d in broken.overall}
    assert Finding.FAILED not in {d.finding for d in broken.per_pair if d.pair != "pair1"}


# Known answers, over thousands of grids

GRIDS, STRATEGIES, PAIRS, SEEDS = 4000, 8, 3, 10


def simulated(name: str, planted: np.ndarray | None = None) -> np.ndarray:
    """(grids, strategies, seeds) means over pairs: the seed moves all strategies together, and each by itself by 0.02."""
    rng = generator(1, "test grids", name)
    shared = rng.standard_normal((GRIDS, 1, PAIRS, SEEDS)) * 0.05
    own = rng.standard_normal((GRIDS, STRATEGIES, PAIRS, SEEDS)) * 0.02 * np.sqrt(PAIRS)
    values = 0.6 + shared + own
    if planted is not None:
        values += planted[:, None, None]
    return values.mean(axis=2)


def test_planted_nulls_are_called_noise_at_the_stated_rate():
    values = simulated("null")
    differences = values[:, 1:] - values[:, :1]
    tests = paired_tests(differences, 0.95, rounding_of(values[:, 1:], values[:, :1]))
    assert likely(int((tests.p < 0.05).sum(axis=0)[0]), GRIDS, 0.05)  # one test alone: exactly alpha
    assert likely(int(((tests.low <= 0) & (tests.high >= 0))[:, 0].sum()), GRIDS, 0.95)
    p, flips = deciding_p(tests, skew_p(differences)), sign_flip_p(differences)
    false = decide(tests, holm(p), flips, 0.05).any(axis=1).sum()
    assert 0 < false <= stats.binom.isf(1e-6, GRIDS, 0.05)
    uncorrected = decide(tests, p, flips, 0.05).any(axis=1).sum()
    assert uncorrected > 3 * false  # what the correction is there for
    flips = flips[:1000, 0]
    assert likely(int((flips <= 0.05).sum()), 1000, int(0.05 * 2**9) / 2**9)


def test_holm_uses_up_its_chance_where_tests_are_independent():
    rng = generator(1, "test independent")
    tests = paired_tests(rng.standard_normal((GRIDS, 7, SEEDS)))
    false = (holm(tests.p) < 0.05).any(axis=1).sum()
    assert likely(int(false), GRIDS, 1 - (1 - 0.05 / 7) ** 7)


def test_planted_differences_are_found_and_named_right():
    planted = np.array([0, 0.1, -0.1, 0, 0, 0, 0, 0])
    values = simulated("planted", planted)
    differences = values[:, 1:] - values[:, :1]
    tests = paired_tests(differences)
    signs = decide(tests, holm(deciding_p(tests, skew_p(differences))), sign_flip_p(differences), 0.05)
    assert (signs[:, 0] == 1).mean() > 0.98
    assert (signs[:, 1] == -1).mean() > 0.98
    assert (signs[:, 2:] != 0).any(axis=1).sum() <= stats.binom.isf(1e-6, GRIDS, 0.05)
    covered = (tests.low <= planted[1:, None].T) & (tests.high >= planted[1:, None].T)
    assert likely(int(covered[:, 0].sum()), GRIDS, 0.95)
    # The tables say what the arrays say.
    for grid in range(5):
        words = {d.strategy: d.finding for d in compare(scores_of(values[grid][:, None])).overall}
        assert [words[f"strategy{s}"] for s in range(1, STRATEGIES)] == [
            {1: "better", 0: "within noise", -1: "worse"}[int(sign)] for sign in signs[grid]
        ]


@pytest.mark.parametrize(
    ("name", "n"), [("normal", 6), ("gamma", 6), ("gamma", 8), ("exponential", 8), ("exponential", 14), ("normal", 14)]
)
def test_skewed_differences_at_few_seeds_hold_their_level(name, n):
    rng = generator(1, "test skewed", name, n)
    drawn = {"normal": rng.standard_normal, "gamma": lambda size: rng.gamma(2, size=size) - 2}
    drawn["exponential"] = lambda size: rng.exponential(size=size) - 1
    differences = drawn[name]((GRIDS, n))
    tests, flips = paired_tests(differences), sign_flip_p(differences)
    p = deciding_p(tests, skew_p(differences))
    assert (decide(tests, p, flips, 0.05) != 0).sum() <= stats.binom.isf(1e-3, GRIDS, 0.05)
    if name == "exponential":  # what the t-test alone would call significant
        assert (tests.p < 0.05).sum() > stats.binom.isf(1e-6, GRIDS, 0.06)


def test_the_skew_corrected_t_by_hand():
    # Johnson's t of (1, 2, 6): mean 3, variance 7, third moment 3 * (-8 - 1 + 27) / 2 = 27.
    t = (3 + 27 / (6 * 7 * 3) + 27 * 9 / (3 * 49)) / np.sqrt(7 / 3)
    far = np.array([1001.0, 1002, 1006])  # t is 657, of which 6 enter the correction
    by_hand = 1003 / np.sqrt(7 / 3) + 27 / 7**1.5 * (1 / 6 + 36 / 3) / np.sqrt(3)
    assert skew_p(far) == pytest.approx(2 * stats.t.sf(by_hand, 2))
    assert skew_p(np.array([1.0, NAN, 2, 6])) == pytest.approx(2 * stats.t.sf(t, 2))
    assert skew_p(np.array([-1.0, -2, -6])) == pytest.approx(2 * stats.t.sf(t, 2))
    assert np.isnan(skew_p(np.array([[1.0, 2, NAN], [2, 2, 2]]))).all()


def test_pairing_is_what_makes_a_difference_visible():
    values = simulated("pairing", np.array([0, 0.03, 0, 0, 0, 0, 0, 0]))
    paired = paired_tests(values[:, 1] - values[:, 0]).p < 0.05
    unpaired = stats.ttest_ind(values[:, 1], values[:, 0], axis=1).pvalue < 0.05
    assert paired.mean() > unpaired.mean() + 0.2


def test_leading_axes_are_of_no_consequence():
    rng = generator(1, "test axes")
    differences = rng.standard_normal((3, 4, 6))
    whole = paired_tests(differences)
    for i, j in itertools.product(range(3), range(4)):
        one = paired_tests(differences[i, j])
        assert one.p == whole.p[i, j]
        assert one.low == whole.low[i, j]
        assert sign_flip_p(differences[i, j]) == sign_flip_p(differences)[i, j]


@pytest.mark.parametrize("function", [paired_tests, sign_flip_p, skew_p])
@pytest.mark.parametrize("differences", [np.array([np.inf, 1]), np.zeros((3, 0)), np.array(1.0)], ids=["inf", "empty", "scalar"])
def test_refuses_what_is_no_row_of_differences(function, differences):
    with pytest.raises(ValueError, match=r"infinite|last axis"):
        function(differences)
