"""A fifth track, as small as a track can be: guess a number. Its answers are what a submission's file says, its judge is a sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from evaluator.errors import Verdict
from evaluator.history.checksum import checksum
from evaluator.machine import versions
from evaluator.plans import Choices, Option, Plan, Step, Task
from evaluator.records import Answer, AnswerRef, CellResult, CellSpec, IsolationRow
from evaluator.seeds import generator
from evaluator.track import CellInputs, Judged, Progress, Track


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


@dataclass(frozen=True)
class Guess(Answer):
    digest: str
    spec: dict[str, Any]
    value: float
    log: str = "guessed"

    @property
    def checksum(self) -> str:
        return checksum(self.as_dict())

    def scorable(self, spec: CellSpec) -> bool:
        return True

    def as_dict(self) -> dict[str, Any]:
        head = {"schema": 2, "answer": self.digest, "spec": self.spec, "verdict": "OK", "phases": [], "log": self.log}
        return head | {"value": self.value, "versions": versions()}


class GuessTrack(Track):
    name: ClassVar[str] = "guess"
    spec_rules: ClassVar[tuple[str, ...]] = ("hint",)
    conditions: ClassVar[tuple[str, ...]] = ("hint",)
    options: ClassVar[Mapping[str, Option]] = {"numbers": Option(int, "to guess", many=True, default=(3, 5))}

    def spec(self, stored: Mapping[str, Any]) -> GuessSpec:
        own = {name: value for name, value in stored.items() if name not in ("schema", "track", "version", "task")}
        return GuessSpec(**own | {"profile": Named(stored["profile"]["name"]), "pipeline": Named(stored["pipeline"]["name"])})

    def answer(self, stored: Mapping[str, Any]) -> Guess:
        return Guess(stored["answer"], stored["spec"], stored["value"], stored["log"])

    def result(self, stored: Mapping[str, Any]) -> CellResult:
        return CellResult.from_dict(stored, self.spec(stored["spec"]))

    def plan(self, choices: Choices, step: Step) -> Plan:
        numbers, judges = choices.options["numbers"], tuple(Named(name) for name in choices.pipelines or ("near",))
        common = {"root_seed": choices.root_seed, "weights": "", "data": {}, "score_split": "all", "tier": choices.tier}
        common |= {"device": choices.device, "threads": choices.threads, "profile": Named(choices.profile)}
        cells = tuple(
            GuessSpec(submission=s.name, submission_digest=s.digest, seed=seed, pipeline=judge, number=number, **common)
            for s in choices.submissions
            for seed in choices.seeds
            for number in numbers
            for judge in judges
        )
        tasks = tuple(Task(f"guess-{number}", "public") for number in numbers)
        items = {task.name: 1 for task in tasks}
        return Plan(Named(choices.profile), tasks, judges, {}, cells, {"all": {}}, {"all": {}}, items, {"hint": (0,)})

    def obtain(self, spec: GuessSpec, inputs: CellInputs, progress: Progress) -> Guess:
        text = (inputs.path / "run.py" if inputs.path.is_dir() else inputs.path).read_text()
        offset = float(text.split("GUESS = ")[1].split()[0])
        noise = generator(spec.root_seed, spec.seed, spec.number, "noise").normal() / 10
        return Guess(spec.answer_digest(), spec.answer_dict(), spec.number + offset + noise)

    def judge(
        self,
        spec: GuessSpec,
        data: Any,
        answer: Guess,
        progress: Progress,
        *,
        checkpoint: Path | None = None,
        cache: dict[str, Any] | None = None,
    ) -> Judged:
        missed = abs(answer.value - spec.number) * (2 if spec.pipeline.name == "strict" else 1)
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

    def broken(self, spec: GuessSpec, reason: str, trace: str) -> CellResult:
        ref = AnswerRef(file=spec.answer_digest(), checksum=None)
        return CellResult(
            spec=spec, verdict=Verdict.INFRASTRUCTURE, reason=reason, answer=ref, isolation=IsolationRow(tier=spec.tier)
        )


GUESS = GuessTrack()
