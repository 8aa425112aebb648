"""`intact serve`: owns the store, brings in what is recorded, answers over HTTP."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
import uvicorn

from intact.assemble.redact import Redactor
from intact.assist.answer_facts import facts_of
from intact.assist.assistant import Assistant, Wiring
from intact.assist.keep.keep import ResponseRow
from intact.assist.plain_events import Plain
from intact.assist.responses import Care
from intact.assist.settings import AssistSettings, read_assist_settings
from intact.cli.measuring import measuring
from intact.collect.host_state import LocalHost
from intact.govern.policy import parse_policy
from intact.govern.state import Applied, State
from intact.model.errors import IntactError
from intact.pipeline import back
from intact.query.readers import Readers
from intact.serve.app import build_app
from intact.serve.assist_metrics import AssistMetrics, RunningMetrics
from intact.serve.assistance import has_rights_still
from intact.serve.auth import DEV, Tokens
from intact.serve.cookies import cookie_users, identify_by
from intact.serve.keep_metrics import KeepMetrics
from intact.serve.live import LiveFeed
from intact.serve.local import build_local_app
from intact.serve.metrics import Metrics, Readings
from intact.serve.service import Service
from intact.serve.settings import Auth, Settings, is_loopback, is_loopback_name, read_settings
from intact.store.answers import AnswerFacts, AnswerLog
from intact.store.database import Database
from intact.store.remote import SOCKET_FILE, socket_address
from intact.store.runs import DataDirectory
from intact.store.spool import Spool

LOCK_WAIT_S = 2.0
MOST_CONNECTIONS = 512
NOTHING_TAKEN_MS = 60_000


def run(
    config: Path | None = typer.Option(
        None, "--config", metavar="FILE", help="Else /etc/intact/intact.yaml; its section serve."
    ),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    host: str | None = typer.Option(
        None, "--host", envvar="INTACT_SERVE_HOST", help="Address to listen on; default 127.0.0.1."
    ),
    port: int | None = typer.Option(
        None, "--port", envvar="INTACT_SERVE_PORT", help="Default 8740; 0: any free one, which is printed."
    ),
    auth: Auth | None = typer.Option(
        None, "--auth", help="tokens, or dev: everybody of this machine is let in; loopback only."
    ),
) -> None:
    """Serve the API, and bring in what is recorded while it is recorded. Other commands ask it while it runs.

    Example: intact token add me; intact serve
    """
    settings = read_settings(config, {"host": host, "port": port, "auth": auth})
    assist = read_assist_settings(config)
    directory = DataDirectory.locate(data)
    directory.become_owner()
    directory.make()
    serve(directory, settings, assist)


def serve(directory: DataDirectory, settings: Settings, assist: AssistSettings) -> None:
    """Serve until a signal ends it."""
    tokens = Tokens(directory.path)
    identify = identify_by(tokens, cookie_users(assist.auth_centre, directory.path))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="intact: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    live = LiveFeed()
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(Database(directory, wait_s=LOCK_WAIT_S))
        listening = stack.enter_context(_listen(settings))
        spool = stack.enter_context(
            Spool(database, back, watch=lambda run, piece: live.publish(run.id, run.tenant_id, piece))
        )
        stack.enter_context(measuring(database, os.uname().nodename, assist.host_metrics_s))
        readers, for_commands = Readers(database), Readers(database)
        stack.callback(for_commands.close)
        stack.callback(readers.close)
        service = Service(
            readers=readers,
            live=live,
            identify=(lambda _: DEV) if settings.auth is Auth.DEV else identify,
            readings=lambda: _readings(spool, live),
            is_ready=lambda: spool.status().is_alive,
            policies=_Policies(State(directory.path)),
            is_host_allowed=is_loopback_name if settings.auth is Auth.DEV else None,
        )
        stack.enter_context(_local(directory, for_commands, spool))
        answers = AnswerLog(database)
        stack.callback(answers.close)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(
                _answer(
                    directory, service, assist, answers=answers, listening=listening,
                    say=lambda: _say(settings, listening, tokens),
                )
            )  # fmt: skip


async def _answer(
    directory: DataDirectory,
    service: Service,
    assist: AssistSettings,
    *,
    answers: AnswerLog,
    say: Callable[[], None],
    listening: socket.socket,
) -> None:
    """Answer over HTTP, with the assistant, until a signal ends it."""
    metrics = Metrics(service.readings)
    redact = Redactor(directory.redaction_key()).text

    def note(row: ResponseRow, events: list[Plain]) -> None:
        answer, spans = facts_of(row, events, redact)
        answers.note(AnswerFacts(tenant_id=row.asker["tenant_id"], answer=answer, spans=spans))

    care = Care(redact=redact, is_still=lambda asker: has_rights_still(asker, Tokens(directory.path).users()))
    wiring = Wiring(
        directory=directory.path, readers=service.readers, host=LocalHost(),
        on_end=(AssistMetrics(metrics.registry).ended, note), care=care,
    )  # fmt: skip
    async with Assistant.opened(assist, wiring) as assistant:
        metrics.registry.register(KeepMetrics(assistant.keep))
        metrics.registry.register(RunningMetrics(lambda: assistant.responses.running))
        gc.collect()
        gc.freeze()  # what is loaded stays: to look through all of it now and then takes a third of a second
        say()
        await _server(build_app(dataclasses.replace(service, assistant=assistant), metrics)).serve(sockets=[listening])


def _say(settings: Settings, listening: socket.socket, tokens: Tokens) -> None:
    host, port = listening.getsockname()[:2]
    typer.echo(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
    if settings.auth is Auth.DEV:
        typer.echo("intact: --auth dev: every program of this machine is let in, without a token", err=True)
    elif not tokens.users():
        typer.echo("intact: nobody has a token yet; make one: intact token add NAME", err=True)
    if not is_loopback(settings.host):
        typer.echo("intact: the connection is not encrypted; put a proxy that speaks TLS in front", err=True)


def _server(app: Any) -> uvicorn.Server:
    # h11 bounds the headers it takes; there is no proxy whose word about the client would count.
    return uvicorn.Server(
        uvicorn.Config(
            app, loop="asyncio", http="h11", ws="none", lifespan="off", access_log=False, log_config=None,
            server_header=False, date_header=False, proxy_headers=False, limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=3,
        )
    )  # fmt: skip


@contextlib.contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # of every connection: who takes nothing for so long is given up, so that a few cannot take all places
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, NOTHING_TAKEN_MS)
        listening.bind(address)
        listening.listen(256)  # who asks from now on waits until we answer
    except OSError as error:
        raise IntactError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from error
    with listening:
        yield listening


@contextlib.contextmanager
def _local(directory: DataDirectory, readers: Readers, spool: Spool) -> Iterator[None]:
    """Lend the store to other commands of the same user, from a thread of its own."""

    def bring_in(run_id: str | None, timeout_s: float) -> bool:
        return spool.wait_for_all(timeout_s) if run_id is None else spool.wait_for(run_id, timeout_s)

    path = directory.path / SOCKET_FILE
    path.unlink(missing_ok=True)  # the store is ours, so whoever made it is gone
    server = _server(build_local_app(readers, bring_in))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        with socket_address(directory) as address:
            before = os.umask(0o177)
            try:
                listening.bind(address)
                listening.listen(64)
            except OSError as error:
                raise IntactError(f"cannot make {path}: {error.strerror}") from error
            finally:
                os.umask(before)
        thread = threading.Thread(target=server.run, args=([listening],), name="local", daemon=True)
        thread.start()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            server.should_exit = True
            thread.join()


def _readings(spool: Spool, live: LiveFeed) -> Readings:
    status = spool.status()
    return {
        "intact_ingested_rows_total": ("Rows brought into the store since the start.", status.rows),
        "intact_ingested_groups_total": ("Groups of rows committed since the start.", status.groups),
        "intact_ingest_failures_total": ("Failures to bring a run in; each is tried again.", status.failures),
        "intact_ingest_lag_seconds": ("From what happened to what can be asked for, at most.", status.lag_s),
        "intact_runs_followed": ("Runs that go on.", status.following),
        "intact_runs_waiting": ("Runs that are still to be brought in.", status.waiting),
        "intact_live_items_total": ("Items of the live feed.", live.last),
        "intact_live_dropped_total": ("Items that the live feed keeps no more.", live.dropped),
    }


class _Policies:
    """What is asked for, in the files that enforcement reads."""

    def __init__(self, state: State) -> None:
        self._state = state

    def read(self) -> dict[str, Any]:
        desired = self._state.desired()
        asked = {
            name: {"by": policy.by, "at_ns": policy.at_ns, "text": policy.text}
            for name, policy in sorted(desired.policies.items())
        }
        scopes = self._state.effective(time.time_ns())
        effective = [{"scope": scope, **rule} for scope, body in scopes.items() for rule in body["rules"]]
        return {"revision": desired.revision, "desired": asked, "effective": effective}

    def write(self, text: str, *, by: str) -> dict[str, Any]:
        policy = parse_policy(text.encode("utf-8", "replace"))
        desired = self._state.apply(policy.name, Applied(text=text, by=by, at_ns=time.time_ns(), source="api"))
        return {"policy": policy.name, "revision": desired.revision}
