"""Every hard form is attributed rightly, alone and in long sessions, however the records are cut."""

import os
from collections.abc import Callable
from random import Random

import pytest

from intact.correlate.stage import correlate
from tests.correlate.forms import FORMS, Play, play_forms
from tests.correlate.scoring import Score, claims_of, last_links, score, time_only
from tests.correlate.world import HOST, MS, NOBODY, World

SEED = int(os.environ.get("INTACT_SEED", "20261"))
SESSIONS = 12


def cut(world: World, every_ns: int) -> list[int]:
    start, end = world.span()
    return list(range(start, end, every_ns))


def scored(world: World) -> tuple[Score, Score]:
    slices = world.slices(cut(world, 40 * MS))
    claims = claims_of(last_links(correlate(slices, HOST)))
    blind = time_only(slices)
    return score(claims, world.truth, world.tools), score(blind, world.truth, world.tools)


def wrong(world: World) -> list[str]:
    """The claims that are wrong or missing, for a person."""
    claims = claims_of(last_links(correlate(world.slices(cut(world, 40 * MS)), HOST)))
    names = {tool.id: f"{tool.name} {tool.arguments}" for tool in world.tools.values()}
    found = []
    for row in world.rows:
        claim = claims.get(row.values["id"], NOBODY)
        if claim != row.truth and (claim != NOBODY or row.truth in world.tools):
            v = row.values
            what = f"{v['kind']} {v.get('argv') or v.get('path') or v.get('address') or ''} at {v['at_ns'] % 10**12 / 1e6:.1f}"
            found.append(f"{what}: is {names.get(row.truth, row.truth)}, claimed {names.get(claim, claim)}")
    return found


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_form(form: Callable[[Play], None]) -> None:
    total = Score(0, 0, 0, 0)
    faults: list[str] = []
    for offset in range(6):
        world = play_forms(SEED + offset, form)
        total += scored(world)[0]
        faults += wrong(world)
    print(f"seed {SEED} {form.__name__}: {total}")
    assert total.precision >= 0.99, faults[:20]
    assert total.recall >= 0.97, faults[:20]


def test_sessions() -> None:
    total, blind = Score(0, 0, 0, 0), Score(0, 0, 0, 0)
    for number in range(SESSIONS):
        forms = list(FORMS)
        Random(SEED + number).shuffle(forms)
        ours, theirs = scored(play_forms(SEED + number, *forms))
        total, blind = total + ours, blind + theirs
    print(f"\nseed {SEED}, {SESSIONS} sessions of {len(FORMS)} forms\n  intact     {total}\n  time only  {blind}")
    assert total.precision >= 0.99
    assert total.recall >= 0.97
    assert blind.precision < total.precision


def test_noise_is_never_claimed() -> None:
    for number in range(4):
        world = play_forms(SEED + 100 + number, *FORMS)
        claims = claims_of(last_links(correlate(world.slices(cut(world, 40 * MS)), HOST)))
        assert not [effect for effect, cause in world.truth.items() if cause == NOBODY and effect in claims]


@pytest.mark.parametrize("seed", range(6))
def test_any_cut_gives_the_same_links(seed: int) -> None:
    rng = Random(SEED + seed)
    world = play_forms(SEED + seed, *rng.sample(FORMS, 8))
    start, end = world.span()
    cuts = [
        cut(world, 20 * MS),
        cut(world, 500 * MS),
        [rng.randrange(start, end) for _ in range(300)],
        [rng.randrange(start, end) for _ in range(3)],
        [],
    ]
    links = [last_links(correlate(world.slices(each), HOST)) for each in cuts]
    for other in links[1:]:
        assert {
            k: (links[0].get(k), other.get(k)) for k in {*links[0], *other} if links[0].get(k) != other.get(k)
        } == {}


def test_links_come_within_a_second() -> None:
    world = play_forms(SEED, *FORMS)
    arrives = {row.values["id"]: row.arrives_ns for row in world.rows if row.truth in world.tools}
    first: dict[int, int] = {}
    for piece in correlate(world.slices(cut(world, 20 * MS)), HOST):
        for effect in piece.links.column("effect_id").to_pylist() if piece.links is not None else ():
            first.setdefault(effect, piece.until_ns)
    late = [first[effect] - at for effect, at in arrives.items() if effect in first]
    assert max(late) <= 800 * MS, max(late)


def test_facts_pass_and_processes_are_told() -> None:
    world = play_forms(SEED, FORMS[0])
    slices = world.slices(cut(world, 40 * MS))
    out = list(correlate(slices, HOST))
    for before, after in zip(slices, out, strict=False):
        assert after.facts[: len(before.facts)] == before.facts
        assert after.effects is before.effects
    told = {fact.id: fact for piece in out for fact in piece.facts if type(fact).__name__ == "Process"}
    ran = {row.values["process_id"] for row in world.rows if row.values["kind"] == 1}
    assert ran <= set(told)
    ended = {row.values["process_id"] for row in world.rows if row.values["kind"] == 3}
    assert all(told[each].end_ns for each in ended if each in told)
