"""Heat maps of the budget x time grid: which pairs form one, means against hand-computed ones, what is drawn."""

import re
import sys
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from evaluator.errors import ConfigurationError
from evaluator.plans import Task
from evaluator.purchase.heat import Axes, grids, grids_of_tasks, heat_map, require_grid
from evaluator.purchase.heat_picture import check_picture, draw_heat_maps
from evaluator.purchase.heat_tables import heat_blocks, heat_notes, matrix, show_heat_map
from evaluator.purchase.pairs import hidden_pairs
from evaluator.purchase.rounds import ROUND2, Pair
from evaluator.purchase.track import PURCHASE
from evaluator.report.colours import DIFFERENCE, LABELS, SCORE, TIME, ink, luminance, shade, span_of
from evaluator.tables import Run

AXES = Axes((500, 1000), (15.0, 30.0))
T = 12.7062
"""The t quantile of two values; their interval's half width is this times half of their distance."""


def crossing(labels: tuple[int, ...], minutes: tuple[float, ...]) -> list[Pair]:
    return [Pair(n, m) for n in labels for m in minutes]


def ran(name: str, pair: str, seed: int, verdict: str, score: float | None, bought: int = 50, seconds: float | None = 3.0) -> Run:
    return Run(name, pair, seed, verdict, score, {"bought": bought, "seconds": seconds})


def asked(*words: str, round_seed: int | None = None) -> tuple[Task, ...]:
    """The pairs that words name, as a sweep has them."""
    return PURCHASE.tasks({"pairs": words, "round_seed": round_seed}, "quick")


def runs() -> list[Run]:
    """Two submissions, two seeds: ``random`` everywhere; ``mine`` fails once at 500:30, always at 1000:15, and lacks 1000:30."""
    found = [ran("random", pair, seed, "OK", 0.40 + 0.10 * seed) for pair in AXES.pairs for seed in (0, 1)]
    found += [
        ran("mine", "500:15", seed, "OK", 0.46 + 0.12 * seed, bought=20 + 10 * seed, seconds=6.0 + 3 * seed) for seed in (0, 1)
    ]
    found += [ran("mine", "500:30", 0, "TIME_LIMIT", None, bought=1, seconds=30.0), ran("mine", "500:30", 1, "OK", 0.45, 50, 15.0)]
    found += [ran("mine", "1000:15", seed, verdict, None, 0, 1.0) for seed, verdict in enumerate(("TIME_LIMIT", "RUNTIME_ERROR"))]
    return found


def example(**changes) -> dict:
    options = {"scale": (0.1, 1.0), "metric": "macro_f1", "seeds": 2, "reference": "random"} | changes
    return heat_map(runs(), AXES, ("random", "mine"), **options)


@pytest.fixture(scope="module")
def heat() -> dict:
    return example()


def place(heat: dict, submission: str, pair: str) -> dict:
    (row,) = [row for row in heat["submissions"] if row["submission"] == submission]
    (cell,) = [cell for cell in row["cells"] if cell["pair"] == pair]
    return cell


# -- which pairs form a grid


def test_a_crossing_is_a_grid_of_its_budgets_and_times():
    assert grids(crossing((2000, 500, 1000), (60, 15.5))) == [Axes((500, 1000, 2000), (15.5, 60))]
    assert Axes((500, 1000), (15.5, 60)).pairs == ("500:15.5", "500:60", "1000:15.5", "1000:60")


def test_the_public_pairs_are_a_grid_of_four_and_one_that_lies_on_no_line_with_them():
    (axes,) = grids(ROUND2.pairs)
    assert axes == Axes((621, 1889), (17, 51))
    assert Pair(1321, 34) not in axes


def test_a_hole_leaves_a_grid_what_it_is():
    pairs = crossing((500, 1000, 2000), (15, 30, 60))
    assert grids([pair for pair in pairs if pair != Pair(1000, 30)]) == grids(pairs)


def test_grids_without_a_common_line_are_two_the_larger_first():
    small, large = crossing((100, 200), (1, 2)), crossing((500, 1000, 2000), (15, 30))
    assert grids([*small, *large]) == [Axes((500, 1000, 2000), (15, 30)), Axes((100, 200), (1, 2))]


@pytest.mark.parametrize(
    "pairs",
    [[], [Pair(500, 15)], crossing((500, 1000, 2000), (15,)), crossing((500,), (15, 30)), [Pair(1, 1), Pair(1, 2), Pair(2, 2)]],
    ids=["none", "one", "a column", "a row", "an angle"],
)
def test_pairs_that_cross_nowhere_are_no_grid(pairs):
    assert grids(pairs) == []


def test_a_row_that_was_asked_for_is_a_grid():
    assert grids_of_tasks(asked("grid:500,1000x15")) == [Axes((500, 1000), (15,))]


def test_of_a_sweep_the_grids_that_were_asked_for_count_and_else_all():
    mixed = asked("public", "hidden:3", "grid:500,1000x15,30", round_seed=1)
    assert grids_of_tasks(mixed) == [Axes((500, 1000), (15, 30))]
    assert grids_of_tasks(asked("public")) == [Axes((621, 1889), (17, 51))]
    require_grid(mixed)
    with pytest.raises(
        ConfigurationError, match=r"621:17, 1321:34 form no grid of label budgets x times, .* Add a grid, e\.g\. --pairs grid:"
    ):
        require_grid(asked("621:17,1321:34"))


@given(st.sets(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=20))
def test_every_line_of_a_grid_holds_two_pairs_and_no_pair_lies_in_two_grids(places):
    pairs = [Pair(labels, minutes) for labels, minutes in places]
    found = grids(pairs)
    for axes in found:
        inside = [pair for pair in pairs if pair in axes]
        assert all(sum(pair.labels == labels for pair in inside) > 1 for labels in axes.labels)
        assert all(sum(pair.minutes == minutes for pair in inside) > 1 for minutes in axes.minutes)
    assert all(sum(pair in axes for axes in found) <= 1 for pair in pairs)


@given(st.integers(0, 200))
def test_hidden_pairs_are_no_grid(seed):
    assert grids(hidden_pairs(ROUND2, 5, seed)) == []


# -- the figures


def test_a_place_is_the_mean_over_its_seeds_with_the_t_interval(heat):
    cell = place(heat, "mine", "500:15")
    assert cell["score"]["mean"] == pytest.approx(0.52)
    assert cell["score"]["high"] - cell["score"]["mean"] == pytest.approx(T * 0.06, abs=1e-4)
    assert cell["score"]["n"] == 2
    assert (cell["failed"], cell["missing"]) == ({}, 0)


def test_labels_and_time_are_means_and_shares_of_what_the_profile_allows(heat):
    assert (heat["budgets"], heat["seconds_allowed"]) == ([50, 100], [15.0, 30.0])
    cell = place(heat, "mine", "500:15")
    assert (cell["bought"], cell["bought_share"]) == (25, 0.5)
    assert (cell["seconds"], cell["seconds_share"]) == (7.5, 0.5)
    assert place(heat, "random", "1000:30")["bought_share"] == 0.5
    assert place(heat, "random", "1000:30")["seconds_share"] == 0.1


def test_a_budget_of_nothing_and_a_time_that_is_not_known_have_no_share():
    nothing = [ran("a", pair, 0, "OK", 0.5, 0, None) for pair in AXES.pairs]
    cell = place(heat_map(nothing, AXES, ("a",), scale=(0.0001, 1), metric="macro_f1", seeds=1), "a", "500:15")
    assert (cell["bought"], cell["bought_share"], cell["seconds"], cell["seconds_share"]) == (0, None, None, None)
    none = {"collapsed": 0, "without": None}
    assert cell["score"] == {"mean": 0.5, "low": None, "high": None, "n": 1, "level": 0.95} | none


def test_failed_cells_are_counted_and_enter_no_mean(heat):
    half = place(heat, "mine", "500:30")
    assert (half["score"], half["scored"], half["failed"]) == (None, 1, {"TIME_LIMIT": 1}), "no mean of what it survived"
    assert (half["bought"], half["seconds"]) == (50, 15.0), "of the cell that was scored"
    none = place(heat, "mine", "1000:15")
    assert none["score"] is none["bought"] is none["seconds"] is none["minus_reference"] is None
    assert none["failed"] == {"RUNTIME_ERROR": 1, "TIME_LIMIT": 1}


def test_seeds_on_which_the_same_was_bought_are_one_observation():
    of = [replace(run, observation="same") if run.submission == "mine" else run for run in runs()]
    options = {"scale": (0.1, 1.0), "metric": "macro_f1", "seeds": 2, "reference": "random"}
    found = heat_map(of, AXES, ("random", "mine"), **options)
    same = place(found, "mine", "500:15")
    assert (same["score"]["mean"], same["score"]["low"], same["score"]["n"], same["scored"]) == (pytest.approx(0.52), None, 1, 2)
    assert same["minus_reference"]["n"] == 2, "what random bought is not known to be the same"
    assert "n 1 of 2" in shown(found, color_system=None)
    assert "the same labels were bought on all 5 seeds" in heat_notes(found)[-1]
    of = [replace(run, observation="same") for run in runs()]
    assert place(heat_map(of, AXES, ("random", "mine"), **options), "mine", "500:15")["minus_reference"]["n"] == 1


def test_a_hole_is_no_failure(heat):
    hole = place(heat, "mine", "1000:30")
    assert (hole["score"], hole["failed"], hole["missing"]) == (None, {}, 2)


def test_the_difference_to_the_reference_is_paired_by_seed(heat):
    less = place(heat, "mine", "500:15")["minus_reference"]
    # 0.06 and 0.08: the seeds' common 0.1 is gone from the interval.
    assert less["mean"] == pytest.approx(0.07)
    assert less["high"] - less["mean"] == pytest.approx(T * 0.01, abs=1e-4)
    assert place(heat, "mine", "500:30")["minus_reference"] is None, "a cell failed"
    assert all(cell["minus_reference"] is None for cell in heat["submissions"][0]["cells"])


def test_a_reference_that_was_not_run_is_none():
    heat = example(reference="margin")
    assert heat["reference"] is None
    assert all(cell["minus_reference"] is None for row in heat["submissions"] for cell in row["cells"])


def test_rows_are_budgets_and_columns_times(heat):
    assert [[cell["pair"] for cell in row] for row in matrix(heat, heat["submissions"][0])] == [
        ["500:15", "500:30"],
        ["1000:15", "1000:30"],
    ]


# -- colours


@pytest.mark.parametrize("ramp", [SCORE, LABELS, TIME])
def test_a_scale_grows_darker_from_end_to_end(ramp):
    light = [luminance(shade(ramp, i / 64)) for i in range(65)]
    assert all(a > b for a, b in pairwise(light))


def test_differences_are_light_in_the_middle_and_their_ends_differ_for_the_colour_blind():
    light = [luminance(shade(DIFFERENCE, i / 64)) for i in range(65)]
    assert all(a < b for a, b in pairwise(light[:33]))
    assert all(a > b for a, b in pairwise(light[32:]))
    # What is left of red and green for protanopes and deuteranopes is one channel (Vienot et al. 1999); beside it stands blue.
    for red, green in ((0.11238, 0.88762), (0.29275, 0.70725)):
        worse, better = (
            np.array([red * r + green * g, b])
            for r, g, b in ((int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in DIFFERENCE[1:4:2])
        )
        assert (better - worse)[1] > 80, "blue"
        assert abs((better - worse)[0]) < 40, "and no great difference in what they see of the rest"


@pytest.mark.parametrize("ramp", [SCORE, LABELS, TIME, DIFFERENCE])
def test_ink_can_be_read_on_every_shade(ramp):
    for i in range(257):
        colour = shade(ramp, i / 256)
        light, dark = sorted((luminance(colour), luminance(ink(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_shades_lie_on_straight_lines_between_the_members_and_end_at_the_ends():
    ramp = ("#000000", "#ff8000", "#ffffff")
    assert [shade(ramp, at) for at in (-1, 0, 0.25, 0.5, 1, 7)] == [
        "#000000",
        "#000000",
        "#804000",
        "#ff8000",
        "#ffffff",
        "#ffffff",
    ]
    assert (luminance("#ffffff"), luminance("#000000")) == (pytest.approx(1), 0)


def test_a_scale_of_one_value_has_it_in_the_middle():
    assert span_of([0.3, 0.1, 0.2]) == (0.1, 0.3)
    assert span_of([0.3]) == pytest.approx((-0.2, 0.8))
    assert span_of([]) == (0.0, 1.0)


# -- tables


def shown(heat: dict, **options) -> str:
    console = Console(width=120, **options)
    with console.capture() as text:
        show_heat_map(console, heat)
    return text.get()


def test_a_terminal_without_colours_shows_everything(heat):
    text = shown(heat, color_system=None)
    assert "\x1b" not in text
    for words in (
        f"0.520 ±{T * 0.06:.3f}",
        "labels 50%",
        "time 50%",
        "1 TIME_LIMIT",
        "1 TIME_LIMIT",
        "1 RUNTIME_ERROR",
        "not run",
        "500 (50)",
        "30 min",
        "(30 s)",
    ):
        assert words in text, words
    titles = next(line for line in text.splitlines() if "random" in line)
    assert "mine" in titles, "beside each other, where there is room"
    assert max(map(len, text.splitlines())) <= 120


def test_all_submissions_share_one_scale_of_colours(heat):
    text = shown(heat, force_terminal=True, color_system="truecolor", legacy_windows=False)

    def background(place: float) -> str:
        colour = shade(SCORE, place)
        return f"48;2;{';'.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))}m"

    # From 0.45 (random) to 0.52 (mine at 500:15).
    assert len(re.findall(background(1.0) + " *0[.]520 ", text)) == 1
    assert len(re.findall(background(0.0) + " *0[.]450 ", text)) == 4
    assert "macro F1: 0.450" in text
    assert "0.520, the same colours" in text


def test_one_seed_is_said_to_give_no_interval():
    one = heat_map([run for run in runs() if run.seed == 1], AXES, ("random", "mine"), scale=(1, 60), metric="accuracy", seeds=1)
    assert "an interval needs 2 seeds or more" in heat_notes(one)[0]
    text = shown(one, color_system=None)
    assert "±" not in text.split("One seed")[0]
    assert "(" not in text.split("One seed")[0], "a profile that scales nothing needs no second figure"


def test_nothing_but_failures_is_a_map_too(tmp_path):
    failed = [ran("a", pair, 0, "MEMORY_LIMIT", None, 0, 0.0) for pair in AXES.pairs]
    heat = heat_map(failed, AXES, ("a",), scale=(1, 60), metric="macro_f1", seeds=1)
    assert shown(heat, color_system=None).count("1 MEMORY_LIMIT") == 4
    draw_heat_maps(tmp_path / "map.svg", [("failures", heat)], "cells")
    assert words_of(tmp_path / "map.svg").count("1 MEMORY_LIMIT") == 4 * 3


def test_as_markdown_every_place_is_a_line(heat):
    mine = [block for block in heat_blocks(heat) if block.title.endswith(": mine")]
    (block,) = mine
    assert block.headers == ("labels \\ time", "15 min (15 s)", "30 min (30 s)")
    assert block.rows[0] == (
        "500 (50)",
        f"0.520 ±{T * 0.06:.3f}; labels 50%; time 50%",
        "failed; 1 TIME_LIMIT",
    )
    assert block.rows[1] == ("1000 (100)", "failed; 1 RUNTIME_ERROR; 1 TIME_LIMIT", "not run")


# -- the picture


def words_of(path) -> str:
    """All texts of an SVG: matplotlib draws them as outlines, and names each in a comment."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    return "\n".join(node.text.strip() for node in ElementTree.parse(path, parser).iter() if node.tag is ElementTree.Comment)


def test_the_picture_holds_three_panels_per_submission_and_the_lead_over_the_reference(heat, tmp_path):
    draw_heat_maps(tmp_path / "map.svg", [("a heading", heat)], "cells of somewhere")
    words = words_of(tmp_path / "map.svg")
    for text in ("a heading", "macro F1", "labels bought, of the budget", "time used, of the clock", "macro F1 less random"):
        assert text in words, text
    assert words.count("not run") == 4, "one place of mine, in every panel"
    assert words.count("1 RUNTIME_ERROR") == 4
    assert words.count("the reference") == 1
    assert f"+0.070\n±{T * 0.01:.3f}" in words
    raw = (tmp_path / "map.svg").read_text()
    assert raw.count("cells of somewhere") == 1
    assert SCORE[0] in raw
    assert SCORE[-1] in raw


def test_without_a_reference_there_are_three_panels(tmp_path):
    draw_heat_maps(tmp_path / "map.svg", [("", example(reference=None))], "cells")
    words = words_of(tmp_path / "map.svg")
    assert "less" not in words
    assert words.count("not run") == 3


def test_an_interval_that_excludes_nothing_is_bold(heat, tmp_path):
    from matplotlib import pyplot as plt

    from evaluator.purchase import heat_picture

    figure = heat_picture._figure(plt, [("", heat)])
    weights = {text.get_text(): text.get_fontweight() for part in figure.subfigs for axes in part.axes for text in axes.texts}
    plt.close(figure)
    # Two differences of 0.06 and 0.08: 0.07 ± 0.127 holds 0.
    assert weights[f"+0.070\n±{T * 0.01:.3f}"] == "normal"
    surer = [
        ran(name, pair, seed, "OK", score, 1, 1.0)
        for pair in AXES.pairs
        for seed in range(3)
        for name, score in (("random", 0.4), ("mine", 0.5 + 0.001 * seed))
    ]
    found = heat_map(surer, AXES, ("random", "mine"), scale=(1, 1), metric="macro_f1", seeds=3, reference="random")
    figure = heat_picture._figure(plt, [("", found)])
    bold = [t.get_text() for part in figure.subfigs for a in part.axes for t in a.texts if t.get_fontweight() == "bold"]
    plt.close(figure)
    assert bold == ["+0.101\n±0.002"] * 4


def test_equal_maps_give_equal_files(heat, tmp_path):
    for name in ("a.svg", "b.svg"):
        draw_heat_maps(tmp_path / name, [("x", heat), ("y", heat)], "cells")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert words_of(tmp_path / "a.svg").count("the reference") == 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.svg", "b.svg"]


def test_the_ending_makes_it_a_png(heat, tmp_path):
    draw_heat_maps(tmp_path / "map.PNG", [("x", heat)], "cells of somewhere")
    with Image.open(tmp_path / "map.PNG") as picture:
        assert picture.format == "PNG"
        assert picture.text["Description"] == "cells of somewhere"
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("map.pdf", "ends in '.pdf'; expected .svg or .png"),
        ("map", "map has no ending; expected .svg or .png"),
        ("nowhere/map.svg", "nowhere does not exist"),
    ],
)
def test_a_picture_that_cannot_be_is_refused_before_anything_is_run(tmp_path, name, said):
    with pytest.raises(ConfigurationError, match=said):
        check_picture(tmp_path / name)


def test_without_matplotlib_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match="pip install matplotlib"):
        check_picture(tmp_path / "map.svg")


def test_a_picture_of_no_grid_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(ConfigurationError, match="no cells form a grid"):
        draw_heat_maps(tmp_path / "map.svg", [], "cells")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "map.svg").mkdir()
    with pytest.raises(ConfigurationError, match="name another file with --heat-map"):
        draw_heat_maps(tmp_path / "map.svg", [("x", example())], "cells")
