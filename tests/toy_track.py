"""A fifth track, as small as a track can be: guess a number. A submission says what it adds to it; the judge is a difference."""

from dataclasses import dataclass
from typing import ClassVar

from evaluator.errors import Verdict
from evaluator.plans import Option, Plan, Task
from evaluator.records import CellResult, PlainAnswer
from evaluator.seeds import generator
from evaluator.specs import CellSpec
from evaluator.tables import Metric
from evaluator.track import Judged, Track


@dataclass(frozen=True)
class Named:
    """A profile, or a recipe that judges: nothing but a name."""

    name: str
    round_name: ClassVar[str] = "guessing"

    def as_dict(self):
        return {"name": self.name, "round": {"name": self.round_name}}

    @classmethod
    def from_dict(cls, stored):
        return cls(stored["name"])


@dataclass(frozen=True, kw_only=True)
class GuessSpec(CellSpec):
    track: ClassVar[str] = "guess"
    conditions: ClassVar[tuple[str, ...]] = ("hint",)
    profile: Named
    pipeline: Named
    number: int
    hint: int = 0

    @property
    def task(self):
        return f"guess-{self.number}"


class GuessTrack(Track):
    spec_type = GuessSpec
    spec_rules = ("hint",)
    metrics = (Metric("closeness", "closeness", low=0, high=1), Metric("hit", "hits", low=0, high=1))
    options: ClassVar = {"numbers": Option(int, "to guess", many=True, default=(3, 5))}

    def plan(self, choices, step):
        numbers, profile = choices.options["numbers"], Named(choices.profile)
        judges = tuple(Named(name) for name in choices.pipelines or ("near",))
        shared = {"profile": profile, "weights": "", "data": {}, "score_split": "all"}
        cells = tuple(
            GuessSpec(**choices.common(source), **shared, seed=seed, number=number, pipeline=judge)
            for source in choices.submissions
            for seed in choices.seeds
            for number in numbers
            for judge in judges
        )
        return Plan(profile, tuple(Task(f"guess-{number}", "public") for number in numbers), judges, cells, {"all": choices.root})

    def obtain(self, spec, inputs, progress):
        added = float((inputs.path / "run.py").read_text().split("GUESS = ")[1].split()[0])
        noise = generator(inputs.data, spec.seed, spec.number, "noise").normal() / 10
        return PlainAnswer(digest=spec.answer_digest(), spec=spec.answer_dict(), content=spec.number + added + noise)

    def judge(self, spec, data, answer, progress, *, checkpoint=None, cache=None):
        missed = abs(answer.content - spec.number) * (2 if spec.pipeline.name == "strict" else 1)
        metrics = {"closeness": 1 / (1 + missed), "hit": float(missed < 1)}
        return Judged(CellResult.of(spec, answer, Verdict.OK, metrics=metrics, fit_to_submit=True))


GUESS = GuessTrack()
