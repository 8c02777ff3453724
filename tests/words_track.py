"""A sixth track, unlike the first in all that tables show: count words. A submission says by how many it miscounts.

Its metrics are its own, and the first is an error without an upper bound; its condition is a text; it trains nothing; it scores
other splits; and one of its profiles is in no comparison, for a reason in its own words.
"""

from dataclasses import dataclass
from typing import ClassVar

from toy_track import Named

from evaluator.errors import Verdict
from evaluator.plans import Option, Plan, Task
from evaluator.records import CellResult, PlainAnswer
from evaluator.seeds import generator
from evaluator.specs import CellSpec
from evaluator.tables import Metric
from evaluator.track import Judged, Track

TEXTS = {"short": ("a", "b c"), "long": ("one two three four", "five six seven eight nine")}
"""The texts of every split."""


@dataclass(frozen=True, kw_only=True)
class WordsSpec(CellSpec):
    track: ClassVar[str] = "words"
    conditions: ClassVar[tuple[str, ...]] = ("language",)

    profile: Named
    pipeline: Named
    number: int
    language: str

    @property
    def task(self):
        return f"text-{self.number}"

    @property
    def trains(self):
        return False


class WordsTrack(Track):
    spec_type = WordsSpec
    spec_rules = ("language",)
    metrics = (
        Metric("error", "words missed", higher_is_better=False, low=0, decimals=1),
        Metric("exact", "exact counts", low=0, high=1, decimals=0, note="a text without words counts as exact"),
    )
    score_splits = tuple(TEXTS)
    task_word = "text"
    options: ClassVar = {
        "language": Option(str, "language of the texts", many=True, default=("en",), metavar="CODE", group="the grid"),
    }

    def not_compared(self, spec):
        return "was counted in private" if spec["profile"]["name"] == "private" else ""

    def condition_text(self, name, value):
        return value.upper()

    def plan(self, choices, step):
        profile, splits = Named(choices.profile), choices.score_splits or ("long",)
        judges = tuple(Named(name) for name in choices.pipelines or ("plain",))
        cells = tuple(
            WordsSpec(
                **choices.common(source),
                profile=profile,
                weights="",
                data={},
                score_split=split,
                seed=seed,
                number=number,
                pipeline=judge,
                language=language,
            )
            for source in choices.submissions
            for language in choices.options["language"]
            for split in splits
            for seed in choices.seeds
            for number in (0, 1)
            for judge in judges
        )
        tasks = tuple(Task(f"text-{number}", "public") for number in (0, 1))
        return Plan(profile, tasks, judges, cells, {split: (choices.root, TEXTS[split]) for split in splits})

    def obtain(self, spec, inputs, progress):
        root, _ = inputs.data
        off = int((inputs.path / "run.py").read_text().split("OFF = ")[1].split()[0])
        off += int(generator(root, spec.seed, spec.number, off, "slip").integers(2)) if off else 0
        counts = {split: len(texts[spec.number].split()) + off for split, texts in TEXTS.items()}
        return PlainAnswer(digest=spec.answer_digest(), spec=spec.answer_dict(), content=counts)

    def judge(self, spec, data, answer, progress, *, checkpoint=None, cache=None):
        _, texts = data
        missed = abs(answer.content[spec.score_split] - len(texts[spec.number].split()))
        missed *= 2 if spec.pipeline.name == "strict" else 1
        metrics = {"error": float(missed), "exact": float(missed == 0)}
        return Judged(CellResult.of(spec, answer, Verdict.OK, metrics=metrics, fit_to_submit=True))


WORDS = WordsTrack()
