"""The wire APIs that are read, and which of them a request speaks: told by its body, then its path, then its host."""

from typing import Any

from intact.assemble.llm.anthropic_messages import AnthropicMessages
from intact.assemble.llm.gemini_generate_content import GeminiGenerateContent
from intact.assemble.llm.openai_chat import OpenAiChat
from intact.assemble.llm.openai_responses import OpenAiResponses
from intact.assemble.llm.reading import Asker, WireApi

WIRE_APIS: tuple[WireApi, ...] = (AnthropicMessages(), OpenAiChat(), OpenAiResponses(), GeminiGenerateContent())

# These take the body of a call and answer with no words of a model.
_OTHER_ENDS = ("/count_tokens", ":countTokens", "/input_tokens", ":embedContent", ":batchEmbedContents", "/embeddings")


def recognise(asker: Asker, body: dict[str, Any] | None) -> WireApi | None:
    """The wire API of a POST; `body` is None where it could not be read, and then the path alone decides."""
    if asker.path.endswith(_OTHER_ENDS):
        return None
    if body is None:
        return next((api for api in WIRE_APIS if api.is_path(asker.path)), None)
    shapes = [(api, api.is_shape(body)) for api in WIRE_APIS]
    sure = [api for api, is_shape in shapes if is_shape]
    possible = sure or [api for api, is_shape in shapes if is_shape is None]
    if len(sure) == 1:
        return sure[0]
    by_path = [api for api in possible if api.is_path(asker.path)]
    return next(iter(by_path or [api for api in possible if api.is_host(asker.host)]), None)
