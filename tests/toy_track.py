"""A fifth track, as small as a track can be: guess a number. A submission says what it adds to it; the judge is a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from evaluator.errors import Verdict
from evaluator.machine import versions
from evaluator.plans import Option, Plan, Task
from evaluator.records import AnswerRef, CellResult, CellSpec, IsolationRow, PlainAnswer
from evaluator.seeds import generator
from evaluator.track import Judged, Track


@dataclass(frozen=True)
class Named:
    """A profile, or a recipe that judges: nothing but a name."""

    name: str
    round_name: ClassVar[str] = "guessing"
    primary_metric: ClassVar[str] = "macro_f1"

    @property
    def plain(self) -> dict[str, Any]:
        return {"name": self.name, "round": {"name": self.round_name, "primary_metric": self.primary_metric}}

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True, kw_only=True)
class GuessSpec(CellSpec):
    track: ClassVar[str] = "guess"
    version: ClassVar[int] = 1
    number: int
    hint: int = 0

    @property
    def task(self) -> str:
        return f"guess-{self.number}"

    @property
    def condition(self) -> dict[str, Any]:
        return {"hint": self.hint}

    def own(self) -> dict[str, Any]:
        return {"number": self.number, "hint": self.hint}

    def answer_dict(self) -> dict[str, Any]:
        return {name: value for name, value in self.as_dict().items() if name not in ("pipeline", "submission")}


class GuessTrack(Track):
    name = "guess"
    spec_rules = conditions = ("hint",)
    options: ClassVar[Mapping[str, Option]] = {"numbers": Option(int, "to guess", many=True, default=(3, 5))}

    def spec(self, stored):
        named = {name: Named(stored[name]["name"]) for name in ("profile", "pipeline")}
        return GuessSpec(**GuessSpec.stored_fields(stored) | named)

    def plan(self, choices, step):
        numbers, judges = choices.options["numbers"], tuple(Named(name) for name in choices.pipelines or ("near",))
        common = {name: getattr(choices, name) for name in ("root_seed", "tier", "device", "threads")}
        common |= {"weights": "", "data": {}, "score_split": "all", "profile": Named(choices.profile)}
        cells = tuple(
            GuessSpec(submission=s.name, submission_digest=s.digest, seed=seed, pipeline=judge, number=number, **common)
            for s in choices.submissions
            for seed in choices.seeds
            for number in numbers
            for judge in judges
        )
        tasks = tuple(Task(f"guess-{number}", "public") for number in numbers)
        items = {task.name: 1 for task in tasks}
        return Plan(common["profile"], tasks, judges, {}, cells, {"all": {}}, {"all": {}}, items, {"hint": (0,)})

    def obtain(self, spec, inputs, progress):
        added = float((inputs.path / "run.py").read_text().split("GUESS = ")[1].split()[0])
        noise = generator(spec.root_seed, spec.seed, spec.number, "noise").normal() / 10
        return PlainAnswer(digest=spec.answer_digest(), spec=spec.answer_dict(), content=spec.number + added + noise)

    def judge(self, spec, data, answer, progress, *, checkpoint=None, cache=None):
        missed = abs(answer.content - spec.number) * (2 if spec.pipeline.name == "strict" else 1)
        result = CellResult(
            spec=spec,
            verdict=Verdict.OK,
            fit_to_submit=True,
            metrics={"macro_f1": 1 / (1 + missed), "accuracy": float(missed < 1), "hamming_loss": min(missed, 1.0)},
            answer=AnswerRef(file=answer.digest, checksum=answer.checksum),
            isolation=IsolationRow(tier=spec.tier),
            versions=versions(),
        )
        return Judged(result)


GUESS = GuessTrack()
