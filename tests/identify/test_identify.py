"""A process that talks to a model is an agent, with a name a person knows."""

from dataclasses import replace
from random import Random

import pytest

from intact.identify.names import name_of
from intact.identify.stage import identify
from intact.model.facts import Agent
from intact.model.slice import Slice
from tests.correlate.world import BASE_NS, HOST, MS, World


def test_agent_is_told_once_a_slice() -> None:
    world = World(rng=Random(1))
    top = world.process(BASE_NS)
    agent = world.fork(top, BASE_NS + MS, 0)
    world.exec(agent, BASE_NS + 2 * MS, ["/usr/bin/python3", "weather_agent.py"], 0)
    first = world.call(agent, BASE_NS + 10 * MS, BASE_NS + 50 * MS)
    world.call(agent, BASE_NS + 60 * MS, BASE_NS + 90 * MS)
    world.facts = [(at, fact) for at, fact in world.facts if not isinstance(fact, Agent)]
    slices = world.slices([BASE_NS + 20 * MS])
    told = [[fact for fact in piece.facts if isinstance(fact, Agent)] for piece in identify(slices, HOST)]
    assert [len(each) for each in told] == [1, 1]
    assert told[0][0].id == told[0][0].process_id == agent.id == first.process_id
    assert told[0][0].name == "weather_agent"
    assert (told[0][0].recogniser, told[0][0].role, told[0][0].biz_type) == ("wire_api", "agent", 1)
    assert (told[1][0].first_seen_ns, told[1][0].last_seen_ns) == (BASE_NS + 10 * MS, BASE_NS + 90 * MS)
    again = list(identify([replace(slices[0]), Slice(until_ns=slices[0].until_ns)], HOST))
    assert not again[1].facts


@pytest.mark.parametrize(
    ("exe", "argv", "name"),
    [
        ("/usr/bin/node", "node /c/node_modules/@anthropic-ai/claude-code/cli.js -p hi", "claude"),
        ("/usr/bin/node", "node --max-old-space-size=4096 /c/node_modules/@google/gemini-cli/dist/index.js", "gemini"),
        ("/c/node_modules/@anthropic-ai/claude-code-linux-x64/claude", "claude -p hi", "claude"),
        ("/home/u/.local/share/claude/versions/2.1.0", "claude", "claude"),
        ("/home/u/.local/share/claude/versions/2.1", "/home/u/.local/bin/claude", "claude"),
        ("/usr/bin/python3.11", "python -m crew.main", "crew.main"),
        ("/usr/bin/python3.11", "/v/bin/python /w/agents/langgraph_agent.py --x", "langgraph_agent"),
        ("/usr/bin/python3.11", "python /w/helpdesk/src/main.py", "helpdesk"),
        ("/usr/bin/python3.11", "python -c pass", "python3.11"),
        ("", "", "agent"),
        ("/opt/we\x1bird", "x", "we_ird"),
    ],
)
def test_names(exe: str, argv: str, name: str) -> None:
    assert name_of(exe, tuple(argv.split()), "/w") == name
