"""Closes a run whose collector was killed: a process of its own, because it imports what the front of `record` must not."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from intact.model.errors import IntactError
from intact.store.runs import DataDirectory


def main() -> None:
    """Entry point; standard input holds `data`, `owner`, `run_id`, `ended_ns`, `exit_code` and `problem`."""
    told = json.load(sys.stdin)
    directory = DataDirectory(Path(told["data"]), owner=told["owner"])
    try:
        run = directory.run(told["run_id"])
        if run.ended_ns is None:
            ended = replace(run, ended_ns=told["ended_ns"], exit_code=told["exit_code"], problem=told["problem"])
            directory.save(ended)
    except IntactError as error:
        # The front has said already that the run is incomplete; this says why it is not even marked so.
        print(f"intact: {error}", file=sys.stderr)
