"""The `intact` command: finds the file of the command asked for, and turns errors into one line and an exit code."""

import importlib
import logging
import os
import sys
from typing import NamedTuple

import typer
import typer.main
from typer.exceptions import TyperException

from intact import __version__
from intact.model.errors import IntactError


class Command(NamedTuple):
    name: str
    module: str  # holds a function `run`, whose signature and docstring are the command's options and help


# To add a command: one file, one line here.
COMMANDS = (
    Command("record", "intact.cli.record"),
    Command("runs", "intact.cli.runs"),
    Command("show", "intact.cli.show"),
    Command("why", "intact.cli.why"),
    Command("replay", "intact.cli.replay"),
    Command("redact", "intact.cli.redact"),
    Command("export", "intact.cli.export"),
    Command("query", "intact.cli.query"),
    Command("retention", "intact.cli.retention"),
    Command("sources", "intact.cli.sources"),
    Command("catalog", "intact.cli.catalog"),
    Command("policy", "intact.cli.policy"),
    Command("agents", "intact.cli.agents"),
    Command("sensor", "intact.cli.sensor"),
    Command("config", "intact.cli.config"),
    Command("serve", "intact.cli.serve"),
    Command("ask", "intact.cli.ask"),
    Command("intent", "intact.cli.intent"),
    Command("mcp", "intact.cli.mcp"),
    Command("token", "intact.cli.token"),
    Command("doctor", "intact.cli.doctor"),
)

HELP = "Watches AI agents at the TLS library and the kernel, and ties every action to the words that caused it."


def build_app(argv: list[str]) -> typer.Typer:
    """The Typer application; only the module of the command in `argv` is imported, all of them for help."""
    app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback(invoke_without_command=True)(_options)
    wanted = [c for c in COMMANDS if c.name in argv[:1]] or list(COMMANDS)
    for command in wanted:
        module = importlib.import_module(command.module)
        settings = getattr(module, "CONTEXT", {})
        app.command(command.name, context_settings=settings)(module.run)
    if len(wanted) == 1:
        app.command("__none__", hidden=True)(_nothing)  # Typer drops the command name of an app with one command
    return app


def _options(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(f"intact {__version__}")
        raise typer.Exit()


def _nothing() -> None:
    raise typer.Exit(2)


def without_verbose(argv: list[str]) -> list[str]:
    """The arguments without `-v`, which every command takes: it shows the log. `record` has one of its own meaning."""
    if argv[:1] == ["record"] or not {"-v", "--verbose"} & set(argv):
        return argv
    os.environ["INTACT_DEBUG"] = "1"
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    return [argument for argument in argv if argument not in ("-v", "--verbose")]


def main() -> None:
    """Entry point. Exit codes: 0 success, 2 wrong use, 1 a failure explained in one line; `record` gives its child's."""
    argv = without_verbose(sys.argv[1:])
    try:
        app = build_app(argv)
        code = typer.main.get_command(app).main(args=argv or ["--help"], prog_name="intact", standalone_mode=False)
        sys.exit(2 if not argv else code if isinstance(code, int) else 0)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except TyperException as error:
        known = [argv[0]] if argv[0] in {command.name for command in COMMANDS} else []
        _fail(f"{error.format_message()} (see: {' '.join(['intact', *known, '--help'])})", 2)
    except IntactError as error:
        _fail(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output went away (`intact show | head`): not a failure, and nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except OSError as error:  # of the machine, not of ours: a full disk, a directory that is none
        if os.environ.get("INTACT_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        _fail(f"{where}{error.strerror or error}", 1)
    except Exception as error:  # a fault of ours: still one line, and the whole story only where it is asked for
        if os.environ.get("INTACT_DEBUG"):
            raise
        _fail(f"internal error: {type(error).__name__}: {error} (INTACT_DEBUG=1 shows where)", 1)


def _fail(message: str, code: int) -> None:
    one_line = " ".join(message.split())
    print(f"intact: {one_line}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
