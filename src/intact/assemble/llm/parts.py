"""Parts of a message in OpenTelemetry GenAI words; content that is not text is told by its size."""

from typing import Any

from intact.assemble.llm.json_values import base64_size, record, records, text
from intact.assemble.llm.reading import Part
from intact.model.facts import Json


def text_part(content: str) -> Part:
    """Words."""
    return {"type": "text", "content": content}


def reasoning_part(content: str) -> Part:
    """Words the model said to itself."""
    return {"type": "reasoning", "content": content}


def tool_call_part(tool_call_id: str | None, name: str, arguments: Any) -> Part:
    """A tool the model wants run."""
    return {"type": "tool_call", "id": tool_call_id, "name": name, "arguments": arguments}


def tool_result_part(tool_call_id: str | None, response: Json) -> Part:
    """What the tool gave."""
    return {"type": "tool_call_response", "id": tool_call_id, "response": response}


def blob_part(mime_type: str | None, size: int) -> Part:
    """Bytes in the message, of which only the size is kept."""
    return {"type": "blob", "modality": _modality(mime_type), "mime_type": mime_type, "size_bytes": size}


def uri_part(mime_type: str | None, uri: str, modality: str | None = None) -> Part:
    """Something elsewhere; a data URI is a blob."""
    if uri.startswith("data:"):
        head, _, data = uri.partition(",")
        mime = head[5:].partition(";")[0] or mime_type
        return blob_part(mime, base64_size(data) if head.endswith(";base64") else len(data))
    return {"type": "uri", "modality": modality or _modality(mime_type), "mime_type": mime_type, "uri": uri}


def file_part(file_id: str, modality: str) -> Part:
    """A file the provider holds."""
    return {"type": "file", "modality": modality, "file_id": file_id}


def generic_part(kind: str, content: Any) -> Part:
    """What has no words of its own here."""
    return {"type": "generic", "generic_type": kind, "content": content}


def plain(parts: list[Part]) -> Json:
    """A tool result as simply as it can be said: its text where it is nothing else."""
    if all(part.get("type") == "text" for part in parts):
        return "\n".join(str(part.get("content")) for part in parts)
    return list(parts)


def opening_text(messages: list[dict[str, Any]]) -> str:
    """The first words of the user, by which a conversation that names itself nowhere is known."""
    for message in messages:
        if message.get("role") == "user":
            return "\n".join(text(part.get("content")) or "" for part in records(message.get("parts")))
    return ""


def _modality(mime_type: str | None) -> str:
    family = (mime_type or "").partition("/")[0]
    return family if family in ("image", "audio", "video") else "document"


def source_part(kind: str, source: Any) -> Part:
    """An image or document of the form `{type: base64|url|file|text, …}`."""
    source = record(source)
    mime = text(source.get("media_type"))
    if uri := text(source.get("url")):
        return uri_part(mime, uri, kind)
    if file_id := text(source.get("file_id")):
        return file_part(file_id, kind)
    if source.get("type") == "text":
        return text_part(text(source.get("data")) or "")
    return {**blob_part(mime, base64_size(source.get("data"))), "modality": kind}
