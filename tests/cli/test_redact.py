import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from intact.collect.capture_file import About, CaptureReader, Ending, write_capture
from intact.decode.wire import Direction
from intact.model.slice import RawSlice, Unheard
from tests.captures.golden import Outcome, outcome_of
from tests.decode.made import HOST, cut_at, exec_, file, io, net, tls, tls_end
from tests.e2e.recorded import intact, lines

KEY = "sk-ant-" + "Zq8" * 12
TOKEN = "hunter2hunter2"
SPLIT = ("is sk-a", "nt-" + "Yw7" * 6, "Yw7" * 6 + " now")


def answer(texts: Iterable[str]) -> bytes:
    """A streamed answer, an event a text."""
    start = {"type": "message_start", "message": {"id": "m", "model": "c", "content": [], "usage": {"input_tokens": 3}}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    stop: list[Any] = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    events = [start, block, *deltas, *stop]
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


def asked(words: str) -> bytes:
    body = json.dumps({"model": "c", "stream": True, "messages": [{"role": "user", "content": words}]}).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\nx-api-key: {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def responded(body: bytes, *, coding: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{coding}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Secrets in every place where one can be."""
    first, second = asked(f"my key is {KEY}"), asked("no secret here")
    plain = responded(answer(["your key ", *SPLIT]))
    packed = responded(gzip.compress(answer([f"key {KEY}"])), coding="content-encoding: gzip\r\n")
    clean = responded(gzip.compress(answer(["all is well"])), coding="content-encoding: gzip\r\n")
    read = {"direction": Direction.READ}
    records = [
        *exec_(10, b"/bin/agent", f"agent\0--token\0{TOKEN}\0{'x' * 900}\0MY_SECRET=abcd\0".encode(), cut=150),
        file(20, f"/tmp/{KEY}/a".encode(), b"/tmp/plain"),
        io(25, f"/tmp/{KEY}/a".encode()),
        net(30, b"", family=1, data=f"/run/{KEY}.sock".encode()),
        *tls(40, first, cut=90),
        *tls(50, plain, cut=70, **read),
        *tls(60, second, stream_offset=len(first)),
        *tls(70, packed, stream_offset=len(plain), **read),
        *tls(80, second, stream_offset=len(first) + len(second)),
        *tls(90, clean, stream_offset=len(plain) + len(packed), **read),
        tls_end(95),
        *tls(96, b"\x00binary " + TOKEN.encode(), connection=0xDEF),
    ]
    path = tmp_path / "seen.capture"
    about = About(name="n", command=("agent", "--token", TOKEN), started_ns=HOST.boot_offset_ns)
    unheard = Unheard(
        tgid=1, start_ns=1, ktime_ns=2, connections=1, exe=f"/opt/{KEY}", address="::1", port=443, reason="why"
    )
    with write_capture(path, HOST, about=about) as writer:
        writer.write(RawSlice(until_ktime_ns=5, rings={}, notes=(f"cannot hook /opt/{KEY}",), unheard=(unheard,)))
        for raw in cut_at(records, [15, 45, 55, 75, 85]):
            writer.write(raw)
        writer.close(Ending(ended_ns=HOST.boot_offset_ns + 100, exit_code=0))
    return path


def everything(path: Path) -> bytes:
    """All bytes of a capture, unpacked."""
    with CaptureReader(path) as reader:
        found = repr((reader.host, reader.about)).encode()
        for raw in reader.slices():
            found += repr((raw.notes, raw.unheard)).encode() + b"".join(bytes(data) for data in raw.rings.values())
    return found


def redacted(capture: Path) -> tuple[Path, str]:
    copy = capture.with_name("copy.capture")
    said = intact("redact", str(capture), "-o", str(copy))
    assert (said.returncode, said.stdout) == (0, ""), said.stderr
    return copy, said.stderr


def test_no_secret_is_left_and_every_record_keeps_its_length(capture: Path) -> None:
    secrets = [KEY, TOKEN, "Yw7Yw7", "MY_SECRET=abcd"]
    before = everything(capture)
    assert all(secret.encode() in before for secret in secrets)
    copy, told = redacted(capture)
    after = everything(copy)
    assert [secret for secret in secrets if secret.encode() in after] == []
    assert copy.stat().st_mode & 0o777 == 0o600
    assert capture.read_bytes()  # the original is as it was
    assert everything(capture) == before
    with CaptureReader(capture) as one, CaptureReader(copy) as other:
        sizes = [{name: len(data) for name, data in raw.rings.items()} for raw in one.slices()]
        assert sizes == [{name: len(data) for name, data in raw.rings.items()} for raw in other.slices()]
        assert other.about.redacted
        assert one.ending == other.ending
    secret_line, bodies, foreign, caution = lines(told)
    assert "replaced" in secret_line
    assert bodies.startswith("intact: replaced 1 body (")
    assert "1 connection that" in foreign
    assert "look before you share it" in caution


def test_a_replay_of_the_copy_differs_in_texts_only(capture: Path) -> None:
    copy, _ = redacted(capture)
    before, after = outcome_of(capture), outcome_of(copy)
    texts = {"path", "old_path", "address", "argv", "path_state"}

    def bare(outcome: Outcome) -> dict[int, dict[str, Any]]:
        return {key: {n: v for n, v in row.items() if n not in texts} for key, row in outcome.effects.items()}

    assert bare(before) == bare(after)
    assert before.claims() == after.claims()
    one, other = before.facts["LlmCall"], after.facts["LlmCall"]
    assert list(one) == list(other)
    assert len(one) == 3
    assert [call["complete"] for call in one.values()] == [True, True, True]
    # the second answer was compressed and held a secret: it cannot be read any more
    assert [call["complete"] for call in other.values()] == [True, False, True]
    first, _, third = one
    for key in (first, third):
        for name in ("status", "output_tokens", "finish_reasons", "started_ns", "first_chunk_ns", "ended_ns"):
            assert one[key][name] == other[key][name], name
    said = other[first]["output_messages"][0]["parts"][0]["content"]
    assert said == "your key is " + "x" * (len("".join(SPLIT)) - len("is ") - len(" now")) + " now"
    assert "all is well" in json.dumps(other[third]["output_messages"])


def test_a_copy_of_a_copy_is_the_same(capture: Path) -> None:
    copy, _ = redacted(capture)
    again = capture.with_name("again.capture")
    said = intact("redact", str(copy), "-o", str(again))
    assert said.returncode == 0
    assert everything(again) == everything(copy)


def test_nothing_is_overwritten(capture: Path) -> None:
    before = capture.read_bytes()
    for target in (capture, capture.parent):
        said = intact("redact", str(capture), "-o", str(target))
        assert said.returncode == 2
        assert "exists already" in said.stderr
        assert len(lines(said.stderr)) == 1
    assert capture.read_bytes() == before


def test_a_cut_capture_is_copied_up_to_the_break(capture: Path) -> None:
    whole = capture.read_bytes()
    capture.write_bytes(whole[: len(whole) - 60])
    copy, told = redacted(capture)
    assert "is cut (it ends within a frame): copied up to there" in told
    with CaptureReader(copy) as reader:
        assert len(list(reader.slices())) > 1
        assert reader.ending is None


def test_what_cannot_be_read_or_written_is_told_in_one_line(capture: Path) -> None:
    copy = capture.with_name("copy.capture")
    for arguments in (
        [str(capture.with_name("none")), "-o", str(copy)],
        [__file__, "-o", str(copy)],
        [str(capture), "-o", str(capture.with_name("no") / "folder")],
    ):
        said = intact("redact", *arguments)
        assert (said.returncode, said.stdout, len(lines(said.stderr))) == (1, "", 1), said.stderr
        assert not copy.exists()
    assert intact("redact", str(capture)).returncode == 2
    assert "Example:" in intact("redact", "--help").stdout
