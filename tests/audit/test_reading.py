"""Files of labels, predictions and corrections: what is read, and what is refused with file, line and value."""

import json

import numpy as np
import pytest

from evaluator.audit.benchmark import Benchmark, IdsError
from evaluator.audit.correction_files import read_corrections
from evaluator.audit.kinds import Kind
from evaluator.audit.prediction_files import read_predictions
from evaluator.audit.reading import Reading, read_benchmark, read_classes, read_ids
from evaluator.errors import ConfigurationError

IDS = ("a", "b", "c", "d")
HOW = Reading(classes=("0", "1", "2", "3"))
BENCHMARK = Benchmark(IDS, np.array([0, 1, 2, 3]), HOW.classes)
MULTI = Benchmark(IDS, np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]), HOW.classes)
MULTI_HOW = Reading(classes=HOW.classes, multi=True)


def written(tmp_path, name, content):
    path = tmp_path / name
    if isinstance(content, dict):
        np.savez(path, **content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(call, path):
    with pytest.raises(ConfigurationError) as caught:
        call()
    text = str(caught.value)
    assert text.startswith(str(path))
    assert len(text.replace(str(path), "")) < 500
    return text


LABELS = [
    ("l.csv", "id,label\na,0\nb,1\nc,2\nd,3\n"),
    ("l.csv", b"\xef\xbb\xbfid,originalLabel\r\na,0\r\nb,1\r\nc,2\r\nd,3"),
    ("l.csv", "id;label\r\na;0\r\nb;1\r\nc;2\r\nd;3\r\n"),
    ("l.csv", b"\xef\xbb\xbfid\tlabel\na\t0\nb\t1\nc\t2\nd\t3\n"),
    ("l.csv", "label, id\n0,a\n 1 , b\n2,c\n3,d\n"),
    ("l.npz", {"ids": np.array(IDS), "labels": np.arange(4)}),
    ("l.npz", {"ids": np.array(IDS), "labels": np.arange(4.0)}),
]


@pytest.mark.parametrize(("name", "content"), LABELS)
def test_labels_are_read_from_tables_and_arrays(tmp_path, name, content):
    found = read_benchmark(written(tmp_path, name, content), Reading(), "v1")
    assert (found.ids, found.labels.tolist(), found.revision) == (IDS, [0, 1, 2, 3], "v1")
    assert found.classes == ("0", "1", "2", "3")


def test_labels_as_a_plain_array_need_ids(tmp_path):
    path = written(tmp_path, "l.npy", np.arange(4))
    assert "--ids FILE" in refused(lambda: read_benchmark(path, Reading()), path)
    assert read_benchmark(path, Reading(ids=IDS)).ids == IDS
    assert "--ids names 3 images" in refused(lambda: read_benchmark(path, Reading(ids=IDS[:3])), path)


def test_names_of_classes_and_further_columns(tmp_path):
    names = read_classes(str(written(tmp_path, "c.txt", "cat\ndog\n")))
    path = written(tmp_path, "l.csv", "id,label,light\na,dog,dim\nb,0,\n")
    found = read_benchmark(path, Reading(classes=names))
    assert found.labels.tolist() == [1, 0]
    assert found.columns == {"light": ("dim", "")}
    bad = written(tmp_path, "m.csv", "id,label\na,dgo\n")
    assert "line 2: 'dgo'" in refused(lambda: read_benchmark(bad, Reading(classes=names)), bad)
    assert "did you mean 'dog'" in refused(lambda: read_benchmark(bad, Reading(classes=names)), bad)
    meta = written(tmp_path, "meta.csv", "id,scale\nb,2\na,1\n")
    assert read_benchmark(path, Reading(classes=names), metadata=[meta]).columns["scale"] == ("1", "2")
    unnamed = refused(lambda: read_benchmark(path, Reading()), path)
    assert (
        "line 2: 'dog'; expected the number of a class, 0 or more. Correct it, or name the classes with --classes FILE" in unnamed
    )
    short = written(tmp_path, "short.csv", "id,scale\nb,2\n")
    assert "1 id missing (a)" in refused(lambda: read_benchmark(path, Reading(classes=names), metadata=[short]), short)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("id,label\n", "it has no row"),
        ("name,label\na,0\n", "expected 'id'"),
        ("id,truth\na,0\n", "expected one of 'label'"),
        ("id,label\na,0\n\nb,1\n", "line 3: the line is blank"),
        ("id,label\na,0,9\n", "line 2: 3 cells; expected 2"),
        ("id,label\na,-1\n", "line 2: '-1'"),
        ("id,label\na,nan\n", "line 2: 'nan'"),
        ("id,label\na,1.5\n", "line 2: '1.5'"),
        ("id,label\na," + "9" * 4_000 + "\n", "line 2: '999"),
        ("id,label\na,0\nb,1\na,0\n", "1 id doubled (a)"),
        ("id,label\n,0\n", "id 1 of 1 is empty"),
        ("id,id\na,0\n", "'id' stands there twice"),
        (b"id,label\n\xff\xfe,0\n", "not UTF-8"),
        ('id,label\n"a,0\n', "expected CSV"),
        ("id,label\na,4\n", "class 4; expected 0 to 3"),
    ],
)
def test_bad_labels_are_refused_with_line_and_value(tmp_path, content, said):
    path = written(tmp_path, "l.csv", content)
    assert said in refused(lambda: read_benchmark(path, HOW), path)


def test_ids_in_another_form_of_unicode_are_said_to_be(tmp_path):
    labels = read_benchmark(written(tmp_path, "l.csv", "id,label\ngro\u0308.png,0\nb,1\n"), Reading())
    path = written(tmp_path, "p.csv", "id,class\ngr\u00f6.png,0\nb,1\n")
    said = refused(lambda: read_predictions(path, labels, Reading(classes=labels.classes)), path)
    assert "written in another form of Unicode, as 'gro\\u0308.png' in the benchmark: write them so" in said


def test_many_ids_are_counted_and_not_all_listed(tmp_path):
    path = written(tmp_path, "p.csv", "id,class\n" + "".join(f"x{n},0\n" for n in range(500)))
    text = refused(lambda: read_predictions(path, BENCHMARK, HOW), path)
    assert "4 ids missing (a, b, c, d)" in text
    assert "500 ids unknown (x0, x1, " in text
    assert "and 492 more" in text


PREDICTED = [
    ("p.csv", "id,class\nd,3\na,1\nb,1\nc,0\n", [[1], [1], [0], [3]]),
    ("p.csv", "id;top\na;1,0\nb;1\nc;[0, 2, 3]\nd;3,1\n", [[1, 0, -1], [1, -1, -1], [0, 2, 3], [3, 1, -1]]),
    ("p.csv", 'id,top\na,"1,0"\nb,1\nc,"[0, 2, 3]"\nd,3;1\n', [[1, 0, -1], [1, -1, -1], [0, 2, 3], [3, 1, -1]]),
    ("p.csv", "top2,id,top1\n0,a,1\n0,b,1\n2,c,0\n1,d,3\n", [[1, 0], [1, 0], [0, 2], [3, 1]]),
    ("p.npy", np.array([1, 1, 0, 3], np.uint8), [[1], [1], [0], [3]]),
    ("p.npy", np.array([[1, 0], [1, 0], [0, 2], [3, 1]], np.int16), [[1, 0], [1, 0], [0, 2], [3, 1]]),
    ("p.npz", {"ids": np.array(IDS[::-1]), "class": np.array([3, 0, 1, 1])}, [[1], [1], [0], [3]]),
]
SCORES = np.array([[0.1, 0.6, 0.3, 0.0], [0.2, 0.5, 0.2, 0.1], [0.4, 0.1, 0.4, 0.1], [-1, -2, -3, 1]])
BY_SCORES = [[1, 2, 0, 3], [1, 0, 2, 3], [0, 2, 1, 3], [3, 0, 1, 2]]


@pytest.mark.parametrize(("name", "content", "expected"), PREDICTED)
def test_predictions_are_brought_into_the_order_of_the_benchmark(tmp_path, name, content, expected):
    found = read_predictions(written(tmp_path, name, content), BENCHMARK, Reading(ids=IDS, classes=HOW.classes))
    assert (found.model, found.ids, found.top.tolist()) == ("p", IDS, expected)


def test_scores_are_ranked_and_equal_scores_by_class(tmp_path):
    how = Reading(ids=IDS, classes=HOW.classes)
    table = "id,score0,score1,score2,score3\n" + "".join(
        f"{id_},{','.join(map(str, row))}\n" for id_, row in zip(IDS, SCORES, strict=True)
    )
    for name, content in (("p.npy", SCORES.astype(np.float16)), ("p.npz", {"scores": SCORES}), ("p.csv", table)):
        assert read_predictions(written(tmp_path, name, content), BENCHMARK, how).top.tolist() == BY_SCORES, name


def test_only_the_best_of_many_scores_are_kept_and_in_order():
    from evaluator.audit.predictions import best

    scores = np.random.default_rng(0).integers(0, 6, (300, 200)).astype(np.float32)
    assert np.array_equal(best(scores, 20), np.argsort(-scores, axis=1, kind="stable")[:, :20])


def test_tables_of_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pip install -r requirements-audit.txt")
    import pyarrow.parquet as parquet

    def file(name, **columns):
        parquet.write_table(pyarrow.table(columns), tmp_path / name)
        return tmp_path / name

    assert read_benchmark(file("l.parquet", id=list(IDS), label=[0, 1, 2, 3]), Reading()).labels.tolist() == [0, 1, 2, 3]
    assert read_predictions(file("c.parquet", id=list(IDS), **{"class": [1, 1, 0, 3]}), BENCHMARK, HOW).top.tolist() == [
        [1],
        [1],
        [0],
        [3],
    ]
    assert read_predictions(file("s.parquet", id=list(IDS), scores=SCORES.tolist()), BENCHMARK, HOW).top.tolist() == BY_SCORES
    ragged = file("t.parquet", id=list(IDS), top=[[1, 0], [1], [0], [3]])
    assert read_predictions(ragged, BENCHMARK, HOW).top.tolist() == [[1, 0], [1, -1], [0, -1], [3, -1]]
    fixes = file("x.parquet", id=["a", "b"], originalLabel=[0, 1], correction=[[1, 2], []])
    assert read_corrections(fixes, HOW).sets.lists() == [(1, 2), ()]
    bad = file("bad.parquet", id=["a", "b"], label=[0, 9])
    assert "row 1: class 9" in refused(lambda: read_benchmark(bad, HOW), bad)
    damaged = written(tmp_path, "d.parquet", b"PAR1 no")
    assert "Parquet" in refused(lambda: read_benchmark(damaged, HOW), damaged)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.csv", "id,class\na,1\nb,1\nc,0\n", "1 id missing (d)"),
        ("p.csv", "id,class\na,1\nb,1\nc,0\nd,0\na,0\n", "1 id doubled (a)"),
        ("p.csv", "id,class\na,1\nb,1\nc,0\nd,7\n", "line 5: class 7; expected 0 to 3"),
        ("p.csv", "id,class\na,1\nb,\nc,0\nd,0\n", "line 3: ''"),
        ("p.csv", 'id,top\na,"1,1"\nb,1\nc,0\nd,0\n', "class 1 is predicted twice"),
        ("p.csv", "id,class,top\na,1,1\n", "expected 'id', and one of"),
        ("p.csv", "id,score0,score1\na,1,1\n", "scores of 2 classes; the benchmark has 4"),
        ("p.csv", "id,score0,score1,score2,score3\na,1,x,0,0\n", "line 2: score 1 is 'x'"),
        ("p.csv", "id,score0,score1,score2,score3\n" + "".join(f"{i},1,nan,0,0\n" for i in IDS), "score of class 1 is nan"),
        ("p.csv", "id,top1,top3\na,1,0\n", "expected 'id', and one of"),
        ("p.npy", np.array([0, 1, 2]), "3 rows, and --ids names 4"),
        ("p.npy", np.array([0, 1, 2, 4]), "class 4; expected 0 to 3"),
        ("p.npy", np.array([0, 1, 2, -1]), "the likeliest class is -1"),
        ("p.npy", np.array([0.0, 1.0, np.nan, 2.0]), "the class is nan"),
        ("p.npy", np.array([[np.inf, 0, 0, 0]] * 4), "the score of class 0 is inf"),
        ("p.npy", np.zeros((4, 3)), "scores of 3 classes"),
        ("p.npy", np.array(["x"] * 4), "the array is <U1"),
        ("p.npy", np.array(5), "0 rows"),
        ("p.npz", {"logits": SCORES}, "expected one of 'class'"),
        ("p.npz", {"ids": np.array(IDS[:2]), "class": np.arange(4)}, "2 ids and 4 rows"),
        ("p.npy", b"no array", "cannot be read"),
        ("p.npz", b"no archive", "cannot be read"),
        ("p.txt", b"a 1", "expected predictions as .csv"),
    ],
)
def test_bad_predictions_are_refused_with_file_and_value(tmp_path, name, content, said):
    path = written(tmp_path, name, content)
    assert said in refused(lambda: read_predictions(path, BENCHMARK, Reading(ids=IDS, classes=HOW.classes)), path)


def test_objects_in_an_array_are_never_unpickled(tmp_path):
    class Mine:
        def __reduce__(self):
            return (pytest.fail, ("it was unpickled",))

    path = tmp_path / "p.npy"
    np.save(path, np.array([Mine()] * 4, dtype=object), allow_pickle=True)
    refused(lambda: read_predictions(path, BENCHMARK, Reading(ids=IDS, classes=HOW.classes)), path)


def test_files_that_are_none(tmp_path):
    for name in ("l.csv", "l.npy", "l.npz"):
        assert "l." in refused(lambda name=name: read_benchmark(tmp_path / name, HOW), tmp_path / name)
    (tmp_path / "d.npy").mkdir()
    assert "no regular file" in refused(lambda: read_benchmark(tmp_path / "d.npy", HOW), tmp_path / "d.npy")


def test_predictions_of_sets_of_labels(tmp_path):
    how = Reading(ids=IDS, classes=HOW.classes, multi=True, threshold=0.4)
    expected = [[False, True, False, False], [False, True, False, False], [True, False, True, False], [False, False, False, True]]
    path = written(tmp_path, "p.npy", SCORES)
    assert read_predictions(path, MULTI, how).top.tolist() == expected
    assert read_predictions(written(tmp_path, "q.npy", np.array(expected)), MULTI, how).top.tolist() == expected
    table = written(tmp_path, "p.csv", 'id,top\nd,3\na,1\nb,"1"\nc,"2,0"\n')
    assert read_predictions(table, MULTI, how).top.tolist() == expected
    none = written(tmp_path, "n.csv", "id,top\nd,-1\na,1\nb,1\nc,2\n")
    assert not read_predictions(none, MULTI, how).top[3].any()
    single = written(tmp_path, "s.csv", "id,class\na,1\nb,1\nc,0\nd,0\n")
    assert "a class for each image" in refused(lambda: read_predictions(single, MULTI, how), single)
    assert "label 0 is 2" in refused(
        lambda: read_predictions(written(tmp_path, "t.npy", np.full((4, 4), 2)), MULTI, how), tmp_path / "t.npy"
    )


HEAD = "id,originalLabel,correction\n"


def test_corrections_say_which_labels_are_right(tmp_path):
    path = written(tmp_path, "fix.csv", 'id,originalLabel,correction\nd,3,-1\na,0,2\nb,1,"3,1"\n')
    found = read_corrections(path, HOW)
    assert (found.source, found.ids, found.whole) == ("fix", ("d", "a", "b"), True)
    source = found.aligned(BENCHMARK)
    assert source.sets.lists() == [(2,), (1, 3), (2,), ()]
    assert source.kinds.tolist() == [Kind.MISLABELLED, Kind.SEVERAL, Kind.KEPT, Kind.NONE]
    assert source.reviewed.all()


def test_a_class_whose_name_holds_a_comma_can_be_a_correction(tmp_path):
    names = read_classes(str(written(tmp_path, "c.txt", "Hund\nKatze, groß\nKatze, klein\nMaus; grau\n")))
    how = Reading(classes=names)
    path = written(tmp_path, "fix.csv", HEAD + 'a,0,"Katze, groß"\nb,"Katze, groß","Hund, 2"\nc,2,Maus; grau\n')
    assert read_corrections(path, how).aligned(BENCHMARK).sets.lists()[:3] == [(1,), (0, 2), (3,)]
    semicolons = written(tmp_path, "fix2.csv", "id;originalLabel;correction\na;0;Katze, groß\nb;1;0, 2\n")
    assert read_corrections(semicolons, how).aligned(BENCHMARK).sets.lists()[:2] == [(1,), (0, 2)]
    mixed = written(tmp_path, "mixed.csv", HEAD + 'a,0,"Hund, Katze, groß"\n')
    said = refused(lambda: read_corrections(mixed, how), mixed)
    assert "Among several labels, write a class whose name holds a comma or a semicolon by its number" in said


def test_an_empty_correction_says_what_was_looked_at(tmp_path):
    path = written(tmp_path, "fix.csv", "id,originalLabel,correction\na,0,2\nb,1,\n")
    source = read_corrections(path, HOW).aligned(BENCHMARK)
    assert source.reviewed.tolist() == [True, True, False, False]
    assert source.kinds.tolist() == [Kind.MISLABELLED, Kind.KEPT, Kind.KEPT, Kind.KEPT]


def test_corrections_of_sets_of_labels(tmp_path):
    path = written(tmp_path, "fix.csv", 'id,originalLabel,correction\na,"0,1",0\nb,-1,3\nc,2,-1\nd,"3,0","0,1,3"\n')
    source = read_corrections(path, MULTI_HOW).aligned(MULTI)
    assert source.kinds.tolist() == [Kind.MISLABELLED, Kind.SEVERAL, Kind.NONE, Kind.SEVERAL]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.csv", HEAD + "a,0,0\n", "line 2: the correction 0 is the original label"),
        ("f.csv", HEAD + "a,0,2\nb,2,3\n", "line 3: b has the original label 2 there, and 1 in the labels"),
        ("f.csv", HEAD + "a,0,4\n", "line 2: class 4; expected 0 to 3"),
        ("f.csv", HEAD + "a,0,-2\n", "line 2: '-2'; expected the number of a class, or a name of --classes. Correct it"),
        ("f.csv", HEAD + 'a,0,"2,-1"\n', "line 2: '-1' stands beside other labels"),
        ("f.csv", HEAD + 'a,0,"2,2"\n', "line 2: label 2 stands there twice"),
        ("f.csv", HEAD + "a,0,nan\n", "line 2: 'nan'"),
        ("f.csv", HEAD + "a,,2\n", "line 2: ''"),
        ("f.csv", HEAD + "e,0,2\n", "1 id unknown (e)"),
        ("f.csv", HEAD + "a,0,2\na,0,3\n", "1 id doubled (a)"),
        ("f.csv", "id,correction\na,2\n", "expected 'id' with"),
        ("f.csv", "id,rater,label,answer\na,r,0,maybe\n", "line 2: the answer is 'maybe'"),
        ("f.csv", "id,rater,label,answer\na,r,0,1\na,r,0,0\n", "line 3: rater 'r' answered about label 0 of a before"),
        ("f.csv", "id,rater,label,answer\na,,0,1\n", "line 2: the rater is empty"),
        ("f.json", '{"a": [4]}', "a has the label 4"),
        ("f.json", '{"a": 3}', "set 0 (a): 3; expected a list"),
        ("f.json", '{"a": [true]}', "set 0 (a): True"),
        ("f.json", '{"a": [1, 1]}', "holds a label twice"),
        ("f.json", '{"a": [1], "b": [1], "a": [2]}', "'a' stands there twice"),
        ("f.json", "[[0], [1]]", "2 rows, and --ids names 4"),
        ("f.json", "3", "no list and no object"),
        ("f.json", "[NaN]", "JSON"),
        ("f.txt", "", "expected corrections as"),
    ],
)
def test_bad_corrections_are_refused_with_line_and_value(tmp_path, name, content, said):
    path = written(tmp_path, name, content)
    how = Reading(ids=IDS, classes=HOW.classes)
    assert said in refused(lambda: read_corrections(path, how).aligned(BENCHMARK), path)


def test_label_sets_speak_of_what_they_name(tmp_path):
    how = Reading(ids=IDS, classes=HOW.classes)
    by_id = written(tmp_path, "a.json", json.dumps({"b": [1], "a": [2, 0]}))
    in_order = written(tmp_path, "b.json", json.dumps([[2, 0], [1], [], [3]]))
    table = written(tmp_path, "c.csv", 'id,labels\na,"2,0"\nb,1\n')
    for path in (by_id, table):
        source = read_corrections(path, how).aligned(BENCHMARK)
        assert source.kinds.tolist() == [Kind.SEVERAL, Kind.KEPT, Kind.KEPT, Kind.KEPT]
        assert source.reviewed.tolist() == [True, True, False, False]
    assert read_corrections(in_order, how).aligned(BENCHMARK).kinds.tolist() == [2, 0, 3, 0]


def test_answers_become_sets_by_more_than_half(tmp_path):
    rows = "a,r1,0,no a,r2,0,0 a,r1,2,yes a,r2,2,1 b,r1,1,1 b,r2,1,0 c,r1,3,1"
    path = written(tmp_path, "votes.csv", "id,rater,label,answer\n" + rows.replace(" ", "\n"))
    found = read_corrections(path, HOW)
    source = found.aligned(BENCHMARK)
    # Half of two is not more than half; nobody was asked about the given label of c, so that it stays.
    assert source.sets.lists() == [(2,), (), (2, 3), (3,)]
    assert source.reviewed.tolist() == [True, True, True, False]
    assert found.answers.raters == ("r1", "r2")
    without_second = found.answers.accepted(np.array([1, 0]))
    assert found.answers.sets(without_second).lists() == [(2,), (1,), (3,)]
    lenient = read_corrections(path, HOW, threshold=0.4).aligned(BENCHMARK)
    assert lenient.sets[1] == (1,)


def test_ids_may_be_paths(tmp_path):
    path = written(tmp_path, "ids.json", json.dumps(["val/x/a.JPEG", "val/y/b.JPEG"]))
    assert read_ids(path) == ("val/x/a.JPEG", "val/y/b.JPEG")
    assert read_ids(path, Reading(stems=True)) == ("a", "b")
    twice = written(tmp_path, "t.txt", "val/x/a.png\nval/y/a.png\n")
    assert "1 id doubled (a)" in refused(lambda: read_ids(twice, Reading(stems=True)), twice)
    predicted = written(tmp_path, "p.csv", "id,class\nv/a.png,0\nv/b.png,0\nv/c.png,0\nv/d.png,0\n")
    assert "add --stems" in refused(lambda: read_predictions(predicted, BENCHMARK, HOW), predicted)
    fixes = written(tmp_path, "x.csv", "id,originalLabel,correction\nv/a.png,0,1\n")
    assert "add --stems" in refused(lambda: read_corrections(fixes, HOW).aligned(BENCHMARK), fixes)
    labels = written(tmp_path, "l.csv", "id,label\nv/a.png,0\nb,1\nc,2\nd,3\n")
    assert "add --stems" in refused(lambda: read_benchmark(labels, Reading(ids=IDS)), labels)
    assert read_corrections(fixes, Reading(stems=True)).aligned(BENCHMARK).kinds[0] == Kind.MISLABELLED


def test_foreign_names_cannot_forge_a_line_of_a_message(tmp_path):
    path = written(tmp_path, "p.csv", 'id,class\na,1\nb,1\nc,0\n"d\x1b[2J\nerror: all is well",3\n')
    text = refused(lambda: read_predictions(path, BENCHMARK, HOW), path)
    assert "\x1b" not in text
    assert "\n" not in text


def test_a_benchmark_holds_each_image_once():
    with pytest.raises(IdsError, match="1 id doubled"):
        Benchmark(("a", "a"), np.array([0, 1]), ("0", "1"))
