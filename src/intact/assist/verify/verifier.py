"""What stays of an answer once its claims were looked up in the evidence they cite.

What does not hold stays legible, struck out: a reader sees what was claimed, and that it is not so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from intact.assist.answers import Evidence
from intact.assist.asking import Asker, Language, Question
from intact.assist.case import ToolPool
from intact.assist.expert import Report
from intact.assist.phrases import phrase
from intact.assist.rendering import render
from intact.assist.verify.again import holding
from intact.assist.verify.backing import Known, backs
from intact.assist.verify.claims import Claim, claims_in
from intact.assist.verify.constants import is_constant
from intact.assist.verify.hollow import read_part


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An answer of which every claim was checked.

    Args:
        struck: how many claims did not hold.
        failed: ids of evidence that was cited and is not the same any more, or is not there.
    """

    text: str
    struck: int = 0
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What claims are checked against: evidence got again, and the words of the question."""

    question: Question
    evidence: Mapping[str, Evidence]  # that was found
    holds: Mapping[str, Evidence]  # of it, what is the same a second time

    known: Mapping[str, Known] = field(init=False)

    def __post_init__(self) -> None:
        read = {name: read_part(each) for name, each in self.holds.items()}
        object.__setattr__(self, "known", {name: Known(each) for name, each in read.items() if each is not None})

    @property
    def language(self) -> Language:
        return self.question.language


async def grounds(question: Question, asker: Asker, evidence: Mapping[str, Evidence], pool: ToolPool) -> Grounds:
    """Get the evidence again."""
    return Grounds(question=question, evidence=evidence, holds=await holding(evidence.values(), pool, asker))


def check_report(report: Report, on: Grounds) -> Checked:
    """A report of an expert: its values are cells by construction, and are struck with their evidence; numbers that its
    template brings itself are claims like any other.
    """
    lines: list[str] = []
    struck = 0
    failed: dict[str, None] = {}
    for pieces in render(report, on.evidence, on.language).lines:
        own = "".join("\0" * len(piece.text) if piece.value is not None else piece.text for piece in pieces)
        brought = [claim for claim in claims_in(own) if claim.kind in ("number", "time") and not is_constant(claim)]
        wrong = [claim for claim in brought if not _holds(claim, on)]
        at, line = 0, ""
        for piece in pieces:
            inside = [claim for claim in wrong if at <= claim.start < at + len(piece.text)]
            if piece.value is not None and piece.value.evidence_id not in on.holds:
                failed[piece.value.evidence_id] = None
                struck += 1
                line += struck_out(piece.text, on.language)
            else:
                line += _strike(piece.text, inside, on.language, offset=at)
            struck += len(inside)
            at += len(piece.text)
        lines.append(line)
    return Checked(text="\n".join(lines), struck=struck, failed=tuple(failed))


def check_text(text: str, on: Grounds) -> Checked:
    """A text of a model: every claim of every sentence."""
    lines: list[str] = []
    struck = 0
    failed: dict[str, None] = {}
    for line in text.replace("~~", "").splitlines():
        claims = claims_in(line)
        cited = {claim.noun for claim in claims if claim.kind == "citation"}
        failed |= dict.fromkeys(each for each in sorted(cited) if each not in on.holds)
        wrong = [claim for claim in claims if not _holds(claim, on)]
        wrong = [claim for index, claim in enumerate(wrong) if index == 0 or claim.start >= wrong[index - 1].end]
        struck += len(wrong)
        lines.append(_strike(line, wrong, on.language))
    return Checked(text="\n".join(lines), struck=struck, failed=tuple(failed))


def _holds(claim: Claim, on: Grounds) -> bool:
    if claim.kind == "citation":
        return claim.noun in on.holds
    cited = [on.known[each] for each in claim.cited if each in on.known]
    if backs(claim, cited):
        return True
    if claim.kind == "name":
        anywhere = [] if claim.cited else list(on.known.values())
        return backs(claim, anywhere) or _is_asked_name(claim, on.question.text)
    if claim.kind == "none":
        return False
    return any(_same(claim, other) for other in claims_in(on.question.text) if other.kind == claim.kind)


def _same(claim: Claim, other: Claim) -> bool:
    return (claim.dimension, claim.value) == (other.dimension, other.value)


def _is_asked_name(claim: Claim, text: str) -> bool:
    wanted = re.escape(claim.noun.casefold())
    return re.search(rf"(?<![a-z0-9_]){wanted}(?![a-z0-9_])", text.casefold(), re.ASCII) is not None


def _strike(text: str, wrong: list[Claim], language: Language, *, offset: int = 0) -> str:
    for claim in reversed(wrong):
        start, end = claim.start - offset, claim.end - offset
        mark = struck_out(text[start:end], language, is_wrong=bool(claim.cited))
        text = f"{text[:start]}{mark}{text[end:]}"
    return text


def struck_out(text: str, language: Language, *, is_wrong: bool = False) -> str:
    """A claim that does not hold, as an answer shows it."""
    mark = phrase("wrong" if is_wrong else "unproven", language)
    return f"~~{text}~~{mark}" if language is Language.ZH else f"~~{text}~~ {mark}"
