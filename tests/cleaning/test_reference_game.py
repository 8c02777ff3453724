"""The game against one written down plainly: automatic differentiation, loops over rows and thresholds, labels changed one by one.

It shares no line with the track but the starting weights, and holds for every kind of labels.
"""

import numpy as np
import pytest
import torch

from evaluator.cleaning.game import play
from evaluator.cleaning.linear import Start
from evaluator.cleaning.measures import printed
from evaluator.cleaning.tasks import CleaningTask, Part

SEED = 5


def made(kind: str, classes: int, rows: int = 30, width: int = 6, wrong: int = 7) -> CleaningTask:
    rng = np.random.default_rng(11)
    towards = rng.normal(size=(width, classes))

    def part(n: int) -> Part:
        x = rng.normal(size=(n, width)).astype(np.float32)
        scores = x @ towards + rng.normal(size=(n, classes))
        labels = scores > 0.3 if kind == "multilabel" else scores[:, 0] > 0 if kind == "binary" else scores.argmax(axis=1)
        return Part(x, labels.astype(np.int64))

    train, validation, test = part(rows), part(12), part(41)
    given = train.labels.copy()
    chosen = rng.permutation(rows)[:wrong]
    given[chosen] = 1 - given[chosen] if kind != "multiclass" else (given[chosen] + 1) % classes
    return CleaningTask("made", kind, classes, Part(train.rows, given), train.labels, validation, test)


def plain_accuracy(task: CleaningTask, rows: np.ndarray, labels: np.ndarray) -> float:
    """Train two layers by torch's own means, choose thresholds on the training labels, and count right labels of the test set."""
    outputs = 1 if task.kind == "binary" else task.classes
    start = Start.drawn(rows.shape[1], outputs, SEED)
    model = torch.nn.Sequential(torch.nn.Linear(start.width, 128), torch.nn.Linear(128, outputs))
    with torch.no_grad():
        for own, drawn in zip(model.parameters(), start.parts(start.flat), strict=True):
            own.copy_(drawn)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.9, foreach=False)
    x, y = torch.from_numpy(rows), torch.from_numpy(labels)
    for _ in range(20):
        for first in range(0, len(rows), 64):
            scores, goal = model(x[first : first + 64]), y[first : first + 64]
            if task.kind == "multiclass":
                loss = torch.nn.functional.cross_entropy(scores, torch.nn.functional.one_hot(goal, task.classes).float())
            else:
                loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, goal.float().reshape(scores.shape))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        on_train, on_test = model(x), model(torch.from_numpy(task.test.rows))
    if task.kind == "multiclass":
        guesses = on_test.argmax(dim=1).tolist()
        return sum(guess == label for guess, label in zip(guesses, task.test.labels.tolist(), strict=True)) / len(guesses)
    own, asked = torch.sigmoid(on_train).numpy(), torch.sigmoid(on_test).numpy()
    given, true = labels.reshape(len(labels), -1), task.test.labels.reshape(len(asked), -1)
    right = 0
    for column in range(outputs):
        best, threshold = -1, 0.0
        for step in range(18):
            at = np.float32(0.1 + 0.05 * step)
            count = sum(bool(p > at) == bool(label) for p, label in zip(own[:, column], given[:, column], strict=True))
            if count > best:
                best, threshold = count, at
        right += sum(bool(p > threshold) == bool(label) for p, label in zip(asked[:, column], true[:, column], strict=True))
    return right / true.size


def plain_game(task: CleaningTask, order: list[int], action: str) -> tuple[list[float], float]:
    """Accuracy after every number of checks from 0 to n, and the share of rows at which 95 % of clean accuracy is reached."""
    labels, removed, curve = task.train.labels.copy(), set(), []
    for checks in range(len(order) + 1):
        if checks and task.wrong[order[checks - 1]]:
            if action == "fix":
                labels[order[checks - 1]] = task.true[order[checks - 1]]
            else:
                removed.add(order[checks - 1])
        elif checks:
            curve.append(curve[-1])  # a right label was looked at: nothing changes
            continue
        kept = [row for row in range(len(order)) if row not in removed]
        curve.append(plain_accuracy(task, task.train.rows[kept], labels[kept]))
    target = 0.95 * plain_accuracy(task, task.train.rows, task.true)
    reached = [checks for checks, accuracy in enumerate(curve) if accuracy >= target]
    return curve, reached[0] / len(order) if reached else 1.0


@pytest.mark.parametrize("action", ["fix", "remove"])
@pytest.mark.parametrize(("kind", "classes"), [("binary", 2), ("multiclass", 4), ("multilabel", 3)])
def test_every_point_of_a_course_is_the_plain_games(kind, classes, action):
    task = made(kind, classes)
    order = np.random.default_rng(2).permutation(len(task.train)).tolist()
    curve, first_reach = plain_game(task, order, action)
    (exact,) = play(task, [order], action=action, exact=True, seed=SEED)
    assert [exact.accuracy(checks) for checks in range(len(order) + 1)] == curve
    assert exact.first_reach == first_reach
    assert exact.area == pytest.approx(np.mean(curve))
    assert exact.discovery == pytest.approx(np.mean([np.mean(np.isin(np.flatnonzero(task.wrong), order[:n])) for n in range(31)]))
    (fast,) = play(task, [order], action=action, seed=SEED)
    assert np.abs(np.array(fast.accuracies) - exact.accuracies).max() <= 1 / task.test.labels.size + 1e-12, "one label at most"


def test_given_labels_of_a_single_class_are_trained_on():
    task = made("binary", 2)
    single = CleaningTask(
        "single", "binary", 2, Part(task.train.rows, np.zeros(30, np.int64)), task.true, task.validation, task.test
    )
    wrong = np.flatnonzero(single.wrong)
    (course,) = play(single, [[*wrong, *np.flatnonzero(~single.wrong)]], seed=SEED, points=4)
    assert course.accuracies[0] == plain_accuracy(single, task.train.rows, single.train.labels)
    assert course.accuracies[-1] == course.clean > course.accuracies[0]


def test_the_smallest_task_and_a_target_that_is_there_from_the_start():
    """Two rows, of which the second is wrong; a target of nothing is reached before a label is checked."""
    x = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    part = Part(x, np.array([0, 1]))
    task = CleaningTask("two", "binary", 2, Part(x, np.array([0, 0])), np.array([0, 1]), part, part)
    first, second = play(task, [[0, 1], [1, 0]], seed=SEED)
    assert (first.checks, second.checks) == ((0, 2), (0, 1))
    assert first.accuracies == second.accuracies
    (at_once,) = play(task, [[0, 1]], seed=SEED, enough=1e-9)
    assert at_once.reached
    assert at_once.first_reach == 0.0


@pytest.mark.parametrize("rows", [200, 400, 1_000])
def test_printed_accuracies_round_as_numpys_numbers_do_where_there_are_ties(rows):
    """``round`` of numpy's float64: k / 200 lies half-way for every odd k, and multiplying by 100 may step off the half."""
    goal, ones = np.array([0, 1]), np.ones(rows, int)
    shown = []
    for right in range(rows + 1):
        test = np.where(np.arange(rows) < right, 0.9, 0.05).astype(np.float32)
        shown.append(printed(np.array([0, 1], np.float32), test, goal, ones))
    assert shown == [float(round(np.float64(right) / rows, 2)) for right in range(rows + 1)]
    assert shown != [round(right / rows, 2) for right in range(rows + 1)], "Python's own rounding differs"
