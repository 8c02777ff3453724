"""The picture of ranks over stages: which rows are pale, what is written, and that foreign names stay text."""

import re

from evaluator.report.html.charts import MOST_ROWS, flow, numbered
from evaluator.sections import Flow

OF = Flow("ranks", "caption", ("first", "<b>second", "third", "fourth"), ("all", "clean"), ((1, 2.5), (2, 1), (3, 2.5), (4, 4)))


def test_rows_that_keep_their_rank_are_pale_and_the_others_have_marks():
    drawn = str(flow(OF))
    assert drawn.count('class="still"') == 1
    assert len(re.findall(r'class="curve l\d d\d"', drawn)) == 3
    assert len(re.findall(r'class="mark s\d"', drawn)) == 3 * 2


def test_rows_that_share_a_rank_share_its_number_and_meet_there():
    drawn = str(flow(OF))
    assert re.findall(r'class="figure">([\d.]+)<', drawn) == ["1", "2.5", "4"]
    ends = [path.split("L")[-1].split(" ")[1] for path in re.findall(r' d="(M[^"Z]+)" class="curve', drawn)]
    assert sorted(ends) == sorted([ends[0], ends[0], *(end for end in ends if end != ends[0])])
    assert len(set(ends)) == 2


def test_it_is_said_in_words_and_names_are_escaped():
    drawn = str(flow(OF))
    assert "ranks. first: 1, 2.5; &lt;b&gt;second: 2, 1" in drawn
    assert "<b>" not in drawn
    assert numbered(OF.stages) == ["1: all", "2: clean"]


def test_a_hundred_rows_are_cut():
    many = Flow("r", "c", tuple(f"m{n}" for n in range(100)), ("all",), tuple((float(n + 1),) for n in range(100)))
    assert str(flow(many)).count("<path") < 2 * MOST_ROWS + 5
