"""The intent gate: five levels, of which four need no model."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from intact.assist.asking import Language, Message
from intact.assist.intent.clean import Cleaned, clean, has_ideograph
from intact.assist.intent.history import looks_back, resolve
from intact.assist.intent.model import AskModel, intent_in, prompt_of
from intact.assist.intent.relevance import Relevance, confidence, weigh
from intact.assist.intent.replies import NAMES, direct
from intact.assist.intent.suspicious import suspicions

SURE = 0.75  # above this no model is asked
MODEL_CONFIDENCE = 0.8
LONG = 1_000  # characters

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate makes of an input.

    Args:
        intent_type: `invalid knowledge task greeting identity followup suspicious`.
        intent_name: the same for a person, in the asker's language.
        level: the level that decided, 1 to 5.
        direct_response: the whole answer, where no tool is needed.
        resolved_text: the question as it stands by itself, cleaned; of a follow-up, with what it refers to filled in.
        reasons: what each level saw, for a log; names of rules and numbers, none of the input.
    """

    intent_type: str
    intent_name: str
    confidence: float
    level: int
    direct_response: str | None
    language: Language
    resolved_text: str
    reasons: tuple[str, ...] = ()


def detect_language(text: str) -> Language:
    """Chinese if there is any ideograph, else English."""
    return Language.ZH if has_ideograph(text) else Language.EN


class Gate:
    """Judges inputs; holds nothing of any of them.

    Args:
        ask_model: gives a model's answer to a prompt; None: level 5 is left out.
        model_name: what is said when somebody asks which model answers.
    """

    def __init__(self, ask_model: AskModel | None = None, *, model_name: str | None = None) -> None:
        self._ask_model = ask_model
        self._model_name = model_name

    def judge(self, text: str, language: Language | None = None, history: Sequence[Message] = ()) -> Verdict:
        """Levels 1 to 4."""
        cleaned = clean(text)
        language = language or detect_language(cleaned.text)
        noted = tuple(f"1 removed {count} {kind}" for kind, count in cleaned.removed)
        noted += ("1 cut",) if cleaned.is_cut else ()
        found = suspicions(cleaned)
        if found:
            reasons = tuple(f"2 {each.rule} in {each.seen_in}" for each in found)
            return self._verdict("suspicious", 1.0, 2, language, cleaned, (*noted, *reasons))
        if not cleaned.text:
            return self._verdict("invalid", 1.0, 1, language, cleaned, (*noted, "1 empty"))
        weighed = weigh(cleaned.folded)
        reasons = (*noted, f"3 {weighed.reason}")
        if weighed.intent == "followup" or self._is_fragment(weighed, cleaned, history):
            verdict = self._verdict("followup", confidence(weighed.margin), 4, language, cleaned, reasons)
            resolved = resolve(cleaned.text, history)
            told = "4 resolved" if resolved != cleaned.text else "4 nothing before it"
            return replace(verdict, resolved_text=resolved, reasons=(*reasons, told))
        return self._verdict(weighed.intent, confidence(weighed.margin), 3, language, cleaned, reasons)

    async def judge_with_model(
        self, text: str, language: Language | None = None, history: Sequence[Message] = ()
    ) -> Verdict:
        """All levels; a model that fails or says something else changes nothing."""
        if len(text) > LONG:  # it may take a tenth of a second, which others need not wait
            verdict = await asyncio.to_thread(self.judge, text, language, history)
        else:
            verdict = self.judge(text, language, history)
        if self._ask_model is None or verdict.intent_type == "suspicious" or verdict.confidence >= SURE:
            return verdict
        cleaned = clean(text)
        try:
            named = intent_in(await self._ask_model(prompt_of(cleaned.text, history)))
        except Exception as error:  # whatever a model's library raises: the gate works without one
            _log.warning("level 5 of the intent gate failed: %s", type(error).__name__)
            return replace(verdict, reasons=(*verdict.reasons, f"5 failed: {type(error).__name__}"))
        if named is None:
            return replace(verdict, reasons=(*verdict.reasons, "5 named no intent"))
        judged = self._verdict(named, MODEL_CONFIDENCE, 5, verdict.language, cleaned, (*verdict.reasons, f"5 {named}"))
        return replace(judged, resolved_text=resolve(cleaned.text, history)) if named == "followup" else judged

    def _is_fragment(self, weighed: Relevance, cleaned: Cleaned, history: Sequence[Message]) -> bool:
        return weighed.intent in ("invalid", "knowledge", "task") and (
            confidence(weighed.margin) < SURE and looks_back(cleaned.folded, history)
        )

    def _verdict(
        self, intent: str, sure: float, level: int, language: Language, cleaned: Cleaned, reasons: tuple[str, ...]
    ) -> Verdict:
        return Verdict(
            intent_type=intent,
            intent_name=NAMES[intent][language],
            confidence=sure,
            level=level,
            direct_response=direct(
                intent, language, is_empty=not any(c.isalpha() for c in cleaned.text), model=self._model_name
            ),
            language=language,
            resolved_text=cleaned.text,
            reasons=reasons,
        )
