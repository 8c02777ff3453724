"""Views against their definitions, image by image."""

import numpy as np
import pytest
from audits import made

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections
from evaluator.audit.plan import planned
from evaluator.audit.predictions import Predictions
from evaluator.audit.sets import LabelSets
from evaluator.audit.sources import together
from evaluator.audit.views import Flags, Name, Table
from evaluator.audit.where import parse
from evaluator.errors import ConfigurationError


def tabled(all_of_it, **how):
    table = Table.planned(all_of_it.benchmark, planned(all_of_it.benchmark, all_of_it.sources, **how), len(all_of_it.predictions))
    for predictions in all_of_it.predictions:
        table.add(predictions.aligned(all_of_it.benchmark))
    views, why = table.views()
    return table, {(view.source, view.name): view for view in views}, why


def by_definition(name, given, valid, flagged, mislabelled, top):
    """(whether the image counts, how right the model is), as the documentation says."""
    if name == Name.WITHOUT_MISLABELLED:
        return not mislabelled, top[0] == given
    if name == Name.CLEAN:
        return not flagged, top[0] == given
    if name == Name.CORRECTED:
        label = given if given in valid else valid[0] if len(valid) == 1 else None
        return label is not None, top[0] == label
    if name == Name.REAL:
        return bool(valid), top[0] in valid
    assert name == Name.TOP_K
    return bool(valid), len(set(top[: len(valid)]) & set(valid)) / max(len(valid), 1)


def test_every_view_is_what_its_definition_says():
    all_of_it = made()
    table, views, why = tabled(all_of_it)
    assert not why
    each = {flags.name: flags for flags in [*map(Flags.of, all_of_it.sources), *together(all_of_it.sources)]}
    assert set(views) == {(source, name) for source in each for name in list(Name)[1:6]}
    for (source, name), view in views.items():
        flags = each[source]
        for model, predictions in enumerate(all_of_it.predictions):
            column = view.column(table.right, model)
            for image, given in enumerate(all_of_it.benchmark.labels.tolist()):
                counts, right = by_definition(
                    name, given, flags.sets[image], flags.flagged[image], flags.mislabelled[image], predictions.top[image].tolist()
                )
                assert view.kept[image] == counts
                assert column[image] == pytest.approx(float(right) if counts else 0)


def test_sources_together_flag_what_all_or_any_flag():
    all_of_it = made(sources=3)
    intersection, union = together(all_of_it.sources)
    flagged = np.stack([source.flagged for source in all_of_it.sources])
    assert np.array_equal(intersection.flagged, flagged.all(axis=0))
    assert np.array_equal(union.flagged, flagged.any(axis=0))
    for image in range(len(all_of_it.benchmark)):
        sets = [set(source.sets[image]) for source in all_of_it.sources]
        assert set(intersection.sets[image]) == set.intersection(*sets)
        assert set(union.sets[image]) == set.union(*sets)
    assert together(all_of_it.sources[:1]) == []


def test_conditions_and_leaks_make_views_of_their_own():
    all_of_it = made()
    conditions = [parse("light = dim"), parse("correction is none"), parse("kind in (kept, several) and label != 0")]
    leaks = all_of_it.benchmark.ids[5:15]
    table, views, _ = tabled(all_of_it, conditions=conditions, leaks=leaks)
    dim = np.array(all_of_it.benchmark.columns["light"]) == "dim"
    assert np.array_equal(views["", "where light = dim"].kept, dim)
    assert np.array_equal(np.flatnonzero(~views["", Name.WITHOUT_LEAKS].kept), np.arange(5, 15))
    for source in all_of_it.sources:
        clean, same = views[source.name, Name.CLEAN], views[source.name, "where correction is none"]
        assert np.array_equal(clean.kept, same.kept)
        assert np.array_equal(clean.column(table.right, 1), same.column(table.right, 1))
        kept = np.isin(source.kinds, (0, 2)) & (all_of_it.benchmark.labels != 0)
        assert np.array_equal(views[source.name, "where kind in (kept, several) and label != 0"].kept, kept)


def test_conditions_that_nothing_meets_or_nothing_answers_are_refused():
    all_of_it = made()
    for text, sources, said in (("light = red", [], "holds for no image"), ("kind = kept", [], "expected --corrections")):
        with pytest.raises(ConfigurationError, match=said):
            planned(all_of_it.benchmark, sources, [parse(text)])
    with pytest.raises(ConfigurationError, match="1 id unknown"):
        planned(all_of_it.benchmark, [], leaks=["nowhere"])


def test_a_view_that_a_model_is_too_shallow_for_is_left_out_and_named():
    _, views, why = tabled(made(depth=1))
    # What all sources call valid is one label at most here, so that a single class is deep enough.
    assert [source for source, name in views if name == Name.TOP_K] == ["intersection"]
    assert "needs the 2 likeliest classes of each image, and 4 of 4 models give fewer" in why[0]


def test_a_view_without_images_has_no_accuracy():
    benchmark = Benchmark(("a", "b"), np.array([0, 1]), ("0", "1"))
    source = Corrections("s", ("a", "b"), LabelSets.of([[], []])).aligned(benchmark)
    table = Table.planned(benchmark, planned(benchmark, [source]), 1)
    table.add(Predictions("m", ("a", "b"), np.array([0, 1])))
    views, why = table.views()
    assert [view.name for view in views] == [Name.WITHOUT_MISLABELLED]
    assert len(why) == 4
    assert all("no image is left" in text for text in why)


def test_views_of_sets_of_labels():
    given = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]], bool)
    ids = tuple("abcde")
    benchmark = Benchmark(ids, given, ("x", "y", "z"))
    # mislabelled, incomplete, kept (no label), none, kept
    source = Corrections("s", ids, LabelSets.of([[0, 2], [0, 1], [], [], [2]])).aligned(benchmark)
    assert source.kinds.tolist() == [1, 2, 0, 3, 0]
    predicted = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 1, 1]], bool)
    table = Table.planned(benchmark, planned(benchmark, [source]), 1)
    table.add(Predictions("m", ids, predicted))
    views = {view.name: view for view in table.views()[0]}
    assert table.right[:, 0].tolist() == [False, False, True, False, False]
    assert views[Name.CLEAN].kept.tolist() == [False, False, True, False, True]
    assert views[Name.WITHOUT_MISLABELLED].kept.tolist() == [False, True, True, True, True]
    # Equal sets: image b is right once the missing label is added, image d once the wrong one is taken away.
    assert views[Name.CORRECTED].column(table.right, 0).tolist() == [0, 1, 1, 1, 0]
    assert views[Name.CORRECTED].kept.all()
    # At least one label, and none that is not valid; images without a valid label do not count.
    assert views[Name.REAL].kept.tolist() == [True, True, False, False, True]
    assert views[Name.REAL].column(table.right, 0).tolist() == [1, 1, 0, 0, 0]
    assert Name.TOP_K not in views
