"""What was seen and what was lost, stage by stage, and whether the record of a run can be called complete."""

from typing import Any

from intact.store.database import Database

Row = dict[str, Any]

# the road, in its order; other stages come after, by name
STAGES = ("collect", "decode", "assemble", "identify", "correlate", "store")
MAX_NOTES = 200

COUNTS = (
    "SELECT stage, sum(seen) AS seen, sum(passed) AS passed FROM stage_count WHERE run_id = {run:String} GROUP BY stage"
)
LOSSES = "SELECT stage, cause, sum(count) AS count FROM loss WHERE run_id = {run:String} GROUP BY stage, cause ORDER BY cause"
CLIPPED = """
SELECT DISTINCT toString(call_id) AS id FROM loss WHERE run_id = {run:String} AND call_id IS NOT NULL AND count > 0
"""
NOTES = """
SELECT note, sum(count) AS count FROM loss WHERE run_id = {run:String} AND note IS NOT NULL AND note != ''
GROUP BY note ORDER BY min(at_ns), note LIMIT {limit:UInt32}
"""
MANIFEST = "SELECT max(final) AS final FROM manifest WHERE run_id = {run:String}"


def is_whole(database: Database, run_id: str) -> bool:
    """Whether all of a run is in the store. To be asked before its rows are, else the end may come in between."""
    return bool(database.rows(MANIFEST, run=run_id).column(0)[0].as_py())


def ledger_of(database: Database, run: Row, *, calls: list[Row], problem: str | None, whole: bool) -> Row:
    """The ledger of a run; run and calls are as `show --json` tells them."""
    run_id = run["id"]
    ended = run["ended_ns"] is not None
    counts = {row["stage"]: row for row in database.rows(COUNTS, run=run_id).to_pylist()}
    lost: dict[str, dict[str, int]] = {}
    for row in database.rows(LOSSES, run=run_id).to_pylist():
        if row["count"]:
            lost.setdefault(row["stage"], {})[row["cause"]] = row["count"]
    stages = [
        {
            "stage": stage,
            "seen": counts[stage]["seen"] if stage in counts else None,
            "passed": counts[stage]["passed"] if stage in counts else None,
            "lost": lost.get(stage, {}),
        }
        for stage in sorted({*counts, *lost}, key=_place)
    ]
    known = {call["id"] for call in calls}
    clipped = {row["id"] for row in database.rows(CLIPPED, run=run_id).to_pylist()} & known
    clipped |= {call["id"] for call in calls if call["missing_bytes"]}
    notes = [row["note"] for row in database.rows(NOTES, run=run_id, limit=MAX_NOTES).to_pylist()]
    if problem:
        notes.append(problem)
    if not whole:
        notes.append("the run goes on: this is what is in the store so far")
    elif not ended:
        notes.append("the recorder did not end in order: the last second may be missing")
    short = any(row["seen"] is not None and row["seen"] != row["passed"] for row in stages)
    complete = whole and ended and not lost and not clipped and not short and not problem
    return {
        "complete": complete,
        "stages": stages,
        "clipped_calls": [call["id"] for call in calls if call["id"] in clipped],
        "notes": list(dict.fromkeys(notes)),
    }


def _place(stage: str) -> tuple[int, str]:
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)
