"""Processes and exchanges as they are passed on, without secrets."""

import json
from dataclasses import replace

from intact.assemble.exchange import Exchange
from intact.assemble.http1 import header
from intact.assemble.llm.json_values import parsed
from intact.assemble.redact import Redactor
from intact.model.facts import HttpExchange, Process


def clean_process(process: Process, redactor: Redactor) -> Process:
    """A process whose image holds no secret."""
    return replace(
        process,
        argv=tuple(redactor.argv(list(process.argv))),
        exe=process.exe and redactor.text(process.exe),
        cwd=process.cwd and redactor.text(process.cwd),
    )


def asked_exchange(exchange: Exchange, redactor: Redactor) -> HttpExchange:
    """The fact of an exchange that is still to be answered, without its body; told again when it has ended."""
    return HttpExchange(
        id=exchange.id,
        process_id=exchange.process_id,
        pid=exchange.pid,
        tid=exchange.tid,
        connection_id=exchange.connection_id,
        is_server=exchange.is_server,
        method=exchange.request.method,
        target=redactor.target(exchange.request.target),
        request_headers=redactor.headers(exchange.request.headers),
        request_body=b"",
        status=None,
        response_headers=(),
        response_body=b"",
        server_address=exchange.server_address,
        server_port=exchange.server_port,
        started_ns=exchange.started_ns,
        request_end_ns=exchange.request_end_ns,
        first_byte_ns=None,
        ended_ns=None,
        complete=False,
        missing_bytes=0,
        problem=None,
    )


def clean_exchange(exchange: Exchange, redactor: Redactor) -> HttpExchange:
    """The fact of an exchange that has ended; gives its bodies back."""
    response = exchange.response
    missing, problem = exchange.missing_bytes, exchange.all_problems
    return HttpExchange(
        id=exchange.id,
        process_id=exchange.process_id,
        pid=exchange.pid,
        tid=exchange.tid,
        connection_id=exchange.connection_id,
        is_server=exchange.is_server,
        method=exchange.request.method,
        target=redactor.target(exchange.request.target),
        request_headers=redactor.headers(exchange.request.headers),
        request_body=_request_body(exchange, redactor),
        status=response.status if response else None,
        response_headers=redactor.headers(response.headers) if response else (),
        response_body=_response_body(exchange, redactor),
        server_address=exchange.server_address,
        server_port=exchange.server_port,
        started_ns=exchange.started_ns,
        request_end_ns=exchange.request_end_ns,
        first_byte_ns=exchange.first_byte_ns,
        ended_ns=exchange.ended_ns,
        complete=exchange.is_whole and problem is None,
        missing_bytes=missing,
        problem=problem,
    )


def _request_body(exchange: Exchange, redactor: Redactor) -> bytes:
    data = exchange.request_body.release()
    if exchange.hides_secret:
        return json.dumps(redactor.json(parsed(data))).encode()
    return redactor.data(data)


def _response_body(exchange: Exchange, redactor: Redactor) -> bytes:
    if exchange.response is None or exchange.response_body is None:
        return b""
    data = exchange.response_body.release()
    content_type = header(exchange.response.headers, "content-type")
    is_row = content_type.startswith(("text/event-stream", "application/x-ndjson")) or data.lstrip().startswith(
        (b"[", b"data:", b"event:")
    )
    return redactor.events(data) if is_row else redactor.data(data)
