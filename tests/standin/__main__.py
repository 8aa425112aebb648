"""Run a stand-in: `python -m tests.standin --script F --log DIR --port 0` prints one JSON line and serves."""

import argparse
import asyncio
import json
import secrets
import signal
import sys
from pathlib import Path

from tests.standin.bodies import available
from tests.standin.certificates import make_certificates, server_context
from tests.standin.conversation import Conversations
from tests.standin.exchange_log import ExchangeLog
from tests.standin.script import from_json, load
from tests.standin.server import Server


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description=__doc__)
    parser.add_argument(
        "--script", type=Path, required=True, help="JSON file of steps, of one script, or of scripts by name"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=TEXT", help="put TEXT for {{NAME}} in the script"
    )
    parser.add_argument("--log", type=Path, required=True, help="folder for the byte logs")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--plain", action="store_true", help="HTTP instead of HTTPS")
    parser.add_argument("--compression", default="none", choices=available(), help="for clients that accept it")
    parser.add_argument("--seed", default="", help="ids are the same for the same seed and order of requests")
    parser.add_argument("--controlled", action="store_true", help="read further scripts from stdin; stop at its end")
    return parser.parse_args()


async def _control(server: Server, stop: asyncio.Event) -> None:
    """One JSON object of scripts a line, answered by one line; the end of stdin stops the server."""
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        server.add(from_json(json.loads(line)))
        print(json.dumps({"added": True}), flush=True)
    stop.set()


async def _main() -> None:
    arguments = _arguments()
    scripts = load(arguments.script, dict(pair.split("=", 1) for pair in arguments.set))
    log = ExchangeLog(arguments.log)
    certificates = None if arguments.plain else make_certificates(arguments.log)
    server = Server(
        Conversations(scripts, seed=arguments.seed or secrets.token_hex(8)),
        log,
        tls=server_context(certificates) if certificates else None,
        compression=arguments.compression,
    )
    listening = await server.listen(arguments.port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = listening.sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "ca": str(certificates.ca_pem) if certificates else None}), flush=True)
    control = asyncio.create_task(_control(server, stop)) if arguments.controlled else None
    await stop.wait()
    if control:
        control.cancel()
    listening.close()


if __name__ == "__main__":
    asyncio.run(_main())
