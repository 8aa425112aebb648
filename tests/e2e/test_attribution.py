"""A small part of the attribution set with a fixed seed, by the real command: every hard form once, rightly attributed.

The whole set over all agents is `python -m bench attribution`.
"""

import json
import random
from pathlib import Path

import pytest
from bench.attribution.command import PRECISION, RECALL, judge
from bench.attribution.plan import FORMS
from bench.attribution.recording import record

from tests.agents.run import available
from tests.e2e.recorded import kernel_test

SEED = 20
AGENTS = ("small", "langgraph", "claude-1.0.62")
SMALLER = ("command", "parallel", "identical, telling", "daemon", "write in process", "mixed parallel")


@kernel_test
@pytest.mark.parametrize("agent", ["small", *(pytest.param(name, marks=pytest.mark.agents) for name in AGENTS[1:])])
def test_effects_are_attributed(agent: str, tmp_path: Path) -> None:
    if reason := available(agent):
        pytest.skip(reason)
    forms = tuple(FORMS) if agent == "small" else SMALLER
    recorded = record(agent, folder=tmp_path, chance=random.Random(f"{SEED} {agent}"), forms=forms)
    assert recorded.exit_code == 0, recorded.said
    judged = judge(recorded)
    wrong = json.dumps(judged.grouped()[:10], indent=1)
    assert judged.missing_calls == []
    assert judged.unseen_files == []
    assert judged.unrelated == 0
    assert judged.engine.all.precision >= PRECISION, wrong
    assert judged.engine.all.recall >= RECALL, wrong
    assert judged.engine.all.precision > judged.by_time.all.precision
    # As many as there must be at the least, or the numbers say nothing.
    assert judged.engine.truths["call"] > 50 * len(recorded.plan.planned)
    assert judged.engine.truths["noise"] > 500
