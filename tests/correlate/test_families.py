"""Credential changes and signals are attributed like any effect: by the process that made them."""

from collections.abc import Callable

import pytest

from intact.correlate.stage import correlate
from intact.model.effects import Kind
from tests.correlate.forms import begin, command_for, play_command
from tests.correlate.scoring import claims_of, last_links
from tests.correlate.world import HOST, MS, Proc, World

SEEDS = range(20270, 20276)


def kill(world: World, p: Proc, at: int, truth: int, target: Proc) -> None:
    world._row("signal", p, at, Kind.SIGNAL, truth, target_id=target.id, target_pid=target.pid, signal=15)


def drop(world: World, p: Proc, at: int, truth: int, _: Proc) -> None:
    world._row("credential", p, at, Kind.CREDENTIAL_CHANGE, truth, call="setuid", old_uid=0, new_uid=1000)


@pytest.mark.parametrize("act", [kill, drop])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_command_does_is_the_tool_calls(seed: int, act: Callable[..., None]) -> None:
    play = begin(seed)
    world = play.world
    command, path = command_for(play)
    (tool,) = play.ask(("Bash", {"command": command}))
    shell = play_command(play, tool, command, path, start=play.now)
    child = world.fork(shell, play.now + 2 * MS, tool)
    act(world, shell, play.now + 3 * MS, tool, child)
    act(world, child, play.now + 3 * MS, tool, shell)
    play.wait(45, 60)
    play.finish()
    claims = claims_of(last_links(correlate(world.slices(range(*world.span(), 40 * MS)), HOST)))
    mine = [row for row in world.rows if row.family in ("signal", "credential")]
    assert len(mine) == 2
    assert [claims.get(row.values["id"]) for row in mine] == [tool, tool]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_signal_of_the_agent_to_its_command(seed: int) -> None:
    """As at a time limit."""
    play = begin(seed)
    world = play.world
    command, path = command_for(play)
    (tool,) = play.ask(("Bash", {"command": command}))
    shell = play_command(play, tool, command, path, start=play.now)
    kill(world, play.agent, play.now + 4 * MS, tool, shell)
    play.wait(45, 60)
    play.finish()
    claims = claims_of(last_links(correlate(world.slices(range(*world.span(), 40 * MS)), HOST)))
    [row] = [row for row in world.rows if row.family == "signal"]
    assert claims.get(row.values["id"]) == tool
