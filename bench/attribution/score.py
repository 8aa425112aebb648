"""Claims against the truth: precision and recall, for the engine and for a rule that knows only the clock."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

from bench.attribution.plan import Planned
from bench.attribution.truth import LOOKED, NOISE, OWN, UNKNOWN, Truth

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
TIME_WINDOW_NS = 500_000_000
EXAMPLES = 40


@dataclass(slots=True)
class Tally:
    """Counts of effects; those of no known truth are in neither number."""

    right: int = 0
    claims: int = 0
    """On effects whose truth is known."""
    caused: int = 0
    """Effects with a true cause."""

    @property
    def precision(self) -> float:
        """Of the claims, how many are true."""
        return self.right / self.claims if self.claims else 1.0

    @property
    def recall(self) -> float:
        """Of the effects with a true cause, how many are rightly claimed."""
        return self.right / self.caused if self.caused else 1.0

    def add(self, other: "Tally") -> None:
        """Count another tally in."""
        self.right += other.right
        self.claims += other.claims
        self.caused += other.caused

    def and_also(self, other: "Tally") -> "Tally":
        """The sum of two."""
        both = Tally()
        both.add(self)
        both.add(other)
        return both

    def as_json(self) -> dict[str, float | int]:
        """With its two numbers."""
        return {
            "precision": round(self.precision, 5),
            "recall": round(self.recall, 5),
            "right": self.right,
            "claims": self.claims,
            "caused": self.caused,
        }


@dataclass(slots=True)
class Score:
    """What one run, or several, came to."""

    all: Tally = field(default_factory=Tally)
    looked: Tally = field(default_factory=Tally)
    """Of effects whose label need not be their cause, as if it were."""
    by_form: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    """Recall by the form of the true call, false claims by the form of the call claimed."""
    truths: Counter[str] = field(default_factory=Counter)
    wrong: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: "Score") -> None:
        """Count another score in."""
        self.all.add(other.all)
        self.looked.add(other.looked)
        for form, tally in other.by_form.items():
            self.by_form[form].add(tally)
        self.truths.update(other.truths)
        self.wrong += other.wrong


class Scorer:
    """Compares claims about one run with its truth."""

    def __init__(
        self, shown: Row, truth: Truth, planned: Mapping[str, Planned], causes: Mapping[str, Collection[str]]
    ) -> None:
        """`causes` names the tool call of an effect's label, any of identical ones, or the one of `launch:LABEL:PROCESS`."""
        self._effects: Sequence[Row] = shown["effects"]
        self._processes = {process["id"]: process for process in shown["processes"]}
        self._truth = truth
        self._planned = planned
        self._causes = causes
        self._form_of_call = {
            call: planned[key].form for key, calls in causes.items() if key in planned for call in calls
        }

    def score(self, claims: Mapping[str, str]) -> Score:
        """Tally the claims (effect to tool call)."""
        score = Score()
        for effect in self._effects:
            self._count(score, effect, claims.get(effect["id"]))
        return score

    def causes(self, effect: Row) -> Collection[str] | None:
        """The true tool call of an effect, or those that it can be; empty if it was not even captured, None if it has none."""
        label = self._truth.of_effect[effect["id"]]
        if label in (NOISE, OWN, UNKNOWN):
            return None
        launch = self._causes.get(f"launch:{label}:{self._truth.launch[effect['id']]}")
        return self._causes.get(label, ()) if launch is None else launch

    def _count(self, score: Score, effect: Row, claim: str | None) -> None:
        label = self._truth.of_effect[effect["id"]]
        score.truths[label if label in (NOISE, OWN, LOOKED, UNKNOWN) else "call"] += 1
        if label == LOOKED:
            calls = self._causes.get(self._truth.looked[effect["id"]], ())
            score.looked.add(Tally(right=int(claim in calls), claims=int(claim is not None), caused=1))
        if label in (LOOKED, UNKNOWN):
            return
        causes = self.causes(effect)
        form = "" if causes is None else self._planned[label].form
        claimed_form = self._form_of_call.get(claim or "", "unplanned")
        right = causes is not None and claim in causes
        if causes is not None:
            score.all.caused += 1
            score.by_form[form].caused += 1
        if claim is not None:
            score.all.claims += 1
            score.by_form[claimed_form].claims += 1
        if right:
            score.all.right += 1
            score.by_form[form].right += 1
        elif causes is not None or claim is not None:
            score.wrong.append(self._example(effect, label, form, claimed_form if claim else None))

    def _example(self, effect: Row, label: str, form: str, claimed_form: str | None) -> dict[str, Any]:
        process = self._processes.get(effect["process_id"], {})
        what = effect["path"] or effect["address"] or effect["argv"] or ""
        return {
            "kind": effect["kind"],
            "what": _portable(str(what))[:160],
            "process": _portable(" ".join(process.get("argv") or []))[:120],
            "truth": label,
            "form": form,
            "claimed": claimed_form,
            "at_ns": effect["at_ns"],
            "effect_id": effect["id"],
        }


def _portable(text: str) -> str:
    """Without where this machine keeps the repository and the home: reports are shared."""
    return text.replace(f"{ROOT}/", "").replace(str(Path.home()), "~")


def claims_of(shown: Row) -> dict[str, str]:
    """The engine's claims: links of confidence 0.5 or more to a tool call."""
    claims: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for link in shown["links"]:
        if link["confidence"] >= 0.5:
            seen[link["effect_id"]] += 1
            if link["cause_kind"] == "tool_call":
                claims[link["effect_id"]] = link["cause_id"]
    double = [effect for effect, count in seen.items() if count > 1]
    if double:
        raise ValueError(f"{len(double)} effects have more than one claim, e.g. {double[0]}")
    return claims


def claims_by_time(shown: Row) -> dict[str, str]:
    """The ablation: each effect to the tool call issued last within half a second before it."""
    issued = sorted((call["issued_ns"], call["id"]) for call in shown["tool_calls"])
    times = [at for at, _ in issued]
    claims: dict[str, str] = {}
    for effect in shown["effects"]:
        index = bisect_right(times, effect["at_ns"]) - 1
        if index >= 0 and effect["at_ns"] - times[index] <= TIME_WINDOW_NS:
            claims[effect["id"]] = issued[index][1]
    return claims


def best_match(launches: Sequence[str], calls: Sequence[str], votes: Mapping[tuple[str, str], int]) -> dict[str, str]:
    """Which of identical, mute calls started which process cannot be known from outside: the kindest one-to-one reading."""
    if len(launches) <= len(calls):
        matches = [dict(zip(launches, chosen, strict=True)) for chosen in permutations(calls, len(launches))]
    else:
        matches = [dict(zip(chosen, calls, strict=True)) for chosen in permutations(launches, len(calls))]
    return max(matches, key=lambda match: sum(votes.get(pair, 0) for pair in match.items()))
