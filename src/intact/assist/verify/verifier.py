"""What stays of an answer once its claims were looked up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from intact.assist.answers import Evidence
from intact.assist.asking import Asker, Language, Question
from intact.assist.case import ToolPool
from intact.assist.expert import Report
from intact.assist.phrases import phrase
from intact.assist.rendering import render
from intact.assist.verify.again import holding

CITATION = re.compile(r"\[(e\d{1,4})\]")


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

    @property
    def language(self) -> Language:
        return self.question.language


async def grounds(question: Question, asker: Asker, evidence: Mapping[str, Evidence], pool: ToolPool) -> Grounds:
    """Get the evidence again."""
    return Grounds(question=question, evidence=evidence, holds=await holding(evidence.values(), pool, asker))


def check_report(report: Report, on: Grounds) -> Checked:
    """A report of an expert: its values are cells by construction, so what is left to check is their evidence."""
    lines: list[str] = []
    struck = 0
    failed: dict[str, None] = {}
    for pieces in render(report, on.evidence, on.language).lines:
        line = ""
        for piece in pieces:
            if piece.value is not None and piece.value.evidence_id not in on.holds:
                failed[piece.value.evidence_id] = None
                struck += 1
                line += struck_out(piece.text, on.language)
            else:
                line += piece.text
        lines.append(line)
    return Checked(text="\n".join(lines), struck=struck, failed=tuple(failed))


def struck_out(text: str, language: Language, *, is_wrong: bool = False) -> str:
    """A claim that does not hold, as an answer shows it."""
    return f"~~{text}~~ {phrase('wrong' if is_wrong else 'unproven', language)}".replace(" （", "（")
