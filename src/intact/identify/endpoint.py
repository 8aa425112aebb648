"""A process that sends a request to an endpoint of a model's API is an agent."""

import re
from functools import lru_cache

from intact.identify.recogniser import Recognition, Request, Sight
from intact.model.recognition import EndpointRule, PathForm, RecognitionRules

_SHOWN = 120  # of a path, in a reason


def _post(path: str, form: PathForm, api: str, *, score: float = 0.9, host: str = "") -> EndpointRule:
    return EndpointRule(path=path, form=form, api=api, score=score, host=host)


_SUFFIX, _EXACT, _TEMPLATE = PathForm.SUFFIX, PathForm.EXACT, PathForm.TEMPLATE

# Ends rather than whole paths where gateways and clouds put a path of their own before the API's.
KNOWN_ENDPOINTS: tuple[EndpointRule, ...] = (
    _post("/v1/messages", _SUFFIX, "anthropic.messages"),
    _post(":rawPredict", _SUFFIX, "anthropic.messages"),
    _post(":streamRawPredict", _SUFFIX, "anthropic.messages"),
    _post("/chat/completions", _SUFFIX, "openai.chat"),
    _post("/v1/completions", _SUFFIX, "openai.completions"),
    _post("/v1/responses", _SUFFIX, "openai.responses"),
    _post("/openai/responses", _SUFFIX, "openai.responses"),
    _post("/codex/responses", _SUFFIX, "openai.responses"),
    EndpointRule(path="/v1/responses", form=_EXACT, api="openai.responses", method="GET", needs_upgrade=True),
    _post(":generateContent", _SUFFIX, "gemini.generate_content"),
    _post(":streamGenerateContent", _SUFFIX, "gemini.generate_content"),
    _post("/{version}/interactions", _TEMPLATE, "gemini.interactions", host="generativelanguage.googleapis.com"),
    _post("/model/{model}/converse", _TEMPLATE, "bedrock.converse"),
    _post("/model/{model}/converse-stream", _TEMPLATE, "bedrock.converse"),
    _post("/model/{model}/invoke", _TEMPLATE, "bedrock.invoke"),
    _post("/model/{model}/invoke-with-response-stream", _TEMPLATE, "bedrock.invoke"),
    _post("/model/{model}/invoke-with-bidirectional-stream", _TEMPLATE, "bedrock.invoke"),
    # Paths that other programs use as well: taken for these APIs only where the port or the host says so too.
    _post("/api/chat", _EXACT, "ollama.chat", score=0.8, host=":11434"),
    _post("/api/generate", _EXACT, "ollama.generate", score=0.8, host=":11434"),
    _post("/api/embed", _EXACT, "ollama.embed", score=0.6, host=":11434"),
    _post("/v1/embeddings", PathForm.PREFIX, "openai.embeddings", score=0.6),
)


class EndpointRecogniser:
    """Method, host and path of a request, against the rules of the config and the APIs that are known."""

    name = "endpoint"

    def recognise(self, sight: Sight, rules: RecognitionRules) -> Recognition | None:
        """See `Recogniser`."""
        rule = matching(sight, rules.endpoints) if isinstance(sight, Request) else None
        if rule is None or not isinstance(sight, Request):
            return None
        where = f" at {sight.host}" if sight.host else ""
        reason = f"asked {sight.method} {sight.path[:_SHOWN]}{where} ({rule.api}; {rule.form} {rule.path[:_SHOWN]})"
        return Recognition(recogniser=self.name, score=rule.score, reason=reason)


def matching(request: Request, rules: tuple[EndpointRule, ...]) -> EndpointRule | None:
    """The rule of the highest score that the request meets; of equals the first."""
    met = [rule for rule in rules if _is_met(rule, request)]
    return max(met, key=lambda rule: rule.score) if met else None


def _is_met(rule: EndpointRule, request: Request) -> bool:
    if rule.method != request.method or (rule.needs_upgrade and not request.upgrades):
        return False
    if rule.host.startswith(":"):
        if rule.host != f":{request.port}":
            return False
    elif rule.host.startswith("."):
        if not request.host.lower().endswith(rule.host):
            return False
    elif rule.host and rule.host != request.host.lower():
        return False
    match rule.form:
        case PathForm.EXACT:
            return request.path == rule.path
        case PathForm.PREFIX:
            return request.path.startswith(rule.path)
        case PathForm.SUFFIX:
            return request.path.endswith(rule.path)
        case PathForm.TEMPLATE:
            return _pattern(rule.path).fullmatch(request.path) is not None


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    """`{name}` as one segment; a last `{name}` after other text as the rest of its segment."""
    parts = re.split(r"\{[^{}]*\}", template)
    return re.compile("[^/]+".join(map(re.escape, parts)))
