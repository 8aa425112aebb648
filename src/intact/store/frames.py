"""The bytes of a segment: checksummed frames, each a slice, between a header that holds the schemas and a footer.

A frame is 32 bytes of header and a payload padded to 8. The checksum covers both, so a reader stops at the last whole frame
of a file that is still growing or whose writer was killed.
"""

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

import pyarrow as pa

from intact.model.codec import fact_from_json, fact_json
from intact.model.effects import FAMILIES, LINKS
from intact.model.errors import CaptureError
from intact.model.facts import Fact
from intact.model.slice import Host, Slice

FORMAT = 1
MAGIC = b"IFR1"
# A slice is some tens of milliseconds; a length beyond this is damage and must not be allocated.
MAX_PAYLOAD = 1 << 30
FOOTER_PAYLOAD = 224

_HEADER = struct.Struct("<4sBBHIIqQ")  # magic, type, parts, -, checksum, -, until_ns, payload length
_PART = struct.Struct("<B7xQ")  # table, length
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)

FACTS_TABLE = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("id", pa.uint64(), nullable=False),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("body", pa.string(), nullable=False),
    ]
)
TABLES: Mapping[str, pa.Schema] = {"facts": FACTS_TABLE, "links": LINKS, **FAMILIES}
_CODES = {name: code for code, name in enumerate(TABLES)}


class FrameType(IntEnum):
    HEADER = 1
    SLICE = 2
    FOOTER = 3


class Damaged(CaptureError):
    """The bytes are not what a writer of segments writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    type: FrameType
    parts: int
    until_ns: int
    payload: memoryview
    length: int  # of the whole frame in the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What a closed segment says of itself."""

    slices: int
    rows: int
    facts: int
    until_ns: int


def header_frame(host: Host) -> bytes:
    """The first frame: with it a segment can be read without knowing the version that wrote it."""
    schemas = [[name, base64.b64encode(schema.serialize()).decode("ascii")] for name, schema in TABLES.items()]
    body = json.dumps({"format": FORMAT, "host": asdict(host), "tables": schemas}).encode("ascii")
    return _frame(FrameType.HEADER, 0, 0, body)


def footer_frame(footer: Footer) -> bytes:
    """The last frame, of one length, so that it is found from the end."""
    body = json.dumps(asdict(footer)).encode("ascii").ljust(FOOTER_PAYLOAD)
    return _frame(FrameType.FOOTER, 0, footer.until_ns, body)


FOOTER_BYTES = _HEADER.size + FOOTER_PAYLOAD


def slice_frame(piece: Slice) -> bytes:
    """A slice as bytes: its boundary, and one compressed Arrow record batch per table that has rows."""
    parts: list[tuple[int, pa.Buffer]] = []
    if piece.facts:
        parts.append((_CODES["facts"], _compressed(_facts_batch(piece.facts))))
    if piece.links is not None and piece.links.num_rows:
        parts.append((_CODES["links"], _compressed(piece.links)))
    for family, batch in piece.effects.items():
        if batch.num_rows:
            parts.append((_CODES[family], _compressed(batch)))
    payload = bytearray()
    for code, buffer in parts:
        payload += _PART.pack(code, buffer.size)
        payload += memoryview(buffer)
        payload += bytes(-len(payload) % 8)
    return _frame(FrameType.SLICE, len(parts), piece.until_ns, payload)


def read_frame(data: memoryview) -> Frame | None:
    """The frame at the start of `data`; None if it is not whole yet.

    Raises:
        Damaged: the bytes are no frame, or its checksum is wrong.
    """
    if len(data) < _HEADER.size:
        return None
    magic, kind, parts, _, checksum, _, until_ns, length = _HEADER.unpack_from(data)
    if magic != MAGIC or length > MAX_PAYLOAD or kind not in FrameType.__members__.values():
        raise Damaged("not a frame")
    end = _HEADER.size + length
    if len(data) < end:
        return None
    payload = data[_HEADER.size : end]
    if _checksum(kind, parts, until_ns, payload) != checksum:
        raise Damaged("wrong checksum")
    return Frame(type=FrameType(kind), parts=parts, until_ns=until_ns, payload=payload, length=end)


def frame_length(header: bytes) -> int | None:
    """Length of the frame that begins with these bytes; None if they are too few."""
    if len(header) < _HEADER.size:
        return None
    magic, *_, length = _HEADER.unpack_from(header)
    if magic != MAGIC or length > MAX_PAYLOAD:
        raise Damaged("not a frame")
    return int(_HEADER.size + length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the first frame holds: the host, and the tables by code."""

    host: Host
    tables: tuple[tuple[str, pa.Schema], ...]


def read_header(frame: Frame) -> Header:
    body = _json(frame)
    if body.get("format") != FORMAT:
        raise Damaged(f"written in format {body.get('format')!r}, this version reads {FORMAT}")
    try:
        tables = tuple(
            (str(name), pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))) for name, text in body["tables"]
        )
        return Header(host=Host(**body["host"]), tables=tables)
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise Damaged("the header cannot be read") from error


def read_footer(frame: Frame) -> Footer:
    try:
        return Footer(**_json(frame))
    except TypeError as error:
        raise Damaged("the footer cannot be read") from error


def read_slice(frame: Frame, header: Header) -> Slice:
    facts: tuple[Fact, ...] = ()
    links: pa.RecordBatch | None = None
    effects: dict[str, pa.RecordBatch] = {}
    for name, batch in _parts(frame, header):
        if name == "facts":
            columns = [batch.column(column).to_pylist() for column in ("kind", "body")]
            facts = tuple(fact_from_json(kind, body) for kind, body in zip(*columns, strict=True))
        elif name == "links":
            links = batch
        else:
            effects[name] = batch
    return Slice(until_ns=frame.until_ns, facts=facts, effects=effects, links=links)


def fact_time(fact: Fact) -> int:
    """When a fact begins, for ordering."""
    for name in ("at_ns", "started_ns", "issued_ns", "start_ns", "first_seen_ns"):
        value = getattr(fact, name, None)
        if isinstance(value, int):
            return value
    return 0


def _parts(frame: Frame, header: Header) -> list[tuple[str, pa.RecordBatch]]:
    offset = 0
    parts = []
    try:
        for _ in range(frame.parts):
            code, length = _PART.unpack_from(frame.payload, offset)
            offset += _PART.size
            name, schema = header.tables[code]
            body = frame.payload[offset : offset + length]
            parts.append((name, pa.ipc.read_record_batch(pa.py_buffer(body), schema)))
            offset += length
            offset += -offset % 8
    except (struct.error, IndexError, pa.ArrowException, OSError) as error:
        raise Damaged("a table of a slice cannot be read") from error
    return parts


def _facts_batch(facts: tuple[Fact, ...]) -> pa.RecordBatch:
    texts = [fact_json(fact) for fact in facts]
    return pa.record_batch(
        [
            pa.array([kind for kind, _ in texts], pa.string()),
            pa.array([getattr(fact, "id", 0) for fact in facts], pa.uint64()),
            pa.array([fact_time(fact) for fact in facts], pa.int64()),
            pa.array([body for _, body in texts], pa.string()),
        ],
        schema=FACTS_TABLE,
    )


def _compressed(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_LZ4) as writer:
        writer.write_batch(batch)
    stream = sink.getvalue()
    # an Arrow stream is schema, batch, end: the schema is in the header of the segment, once, and the end is the frame's
    schema_bytes = 8 + int.from_bytes(stream[4:8].to_pybytes(), "little")
    return stream.slice(schema_bytes, stream.size - schema_bytes - 8)


def _frame(kind: FrameType, parts: int, until_ns: int, payload: bytes | bytearray) -> bytes:
    checksum = _checksum(kind, parts, until_ns, payload)
    return _HEADER.pack(MAGIC, kind, parts, 0, checksum, 0, until_ns, len(payload)) + payload


def _checksum(kind: int, parts: int, until_ns: int, payload: bytes | bytearray | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<BBqQ", kind, parts, until_ns, len(payload))))


def _json(frame: Frame) -> dict[str, Any]:
    try:
        body = json.loads(bytes(frame.payload))
    except (ValueError, RecursionError) as error:
        raise Damaged("a frame holds no JSON") from error
    if not isinstance(body, dict):
        raise Damaged("a frame holds no JSON object")
    return body
