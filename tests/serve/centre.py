"""Auth centres of somebody else, for the tests."""

import asyncio
import time

from intact.serve.auth import User

NO_FUNCTION = 5


def wrong_form(name: str) -> User | None:
    return None


async def by_waiting(name: str, value: str) -> User | None:
    await asyncio.sleep(0.01)
    return User(name=f"{value}@house", role="member", run_ids=("r1",)) if value.startswith("good") else None


def by_thread(name: str, value: str) -> User | None:
    return User(name=value.removeprefix("good-")) if value.startswith("good") else None


def fails(name: str, value: str) -> User | None:
    raise KeyError(value)


async def hangs(name: str, value: str) -> User | None:
    await asyncio.sleep(30)
    return User(name="late")


def blocks(name: str, value: str) -> User | None:
    time.sleep(0.5)
    return User(name="late")


def gives_a_text(name: str, value: str) -> str:
    return "root"


def gives_a_wrong_user(name: str, value: str) -> User:
    return User(name="@owner")


def gives_a_wrong_role(name: str, value: str) -> User:
    return User(name="x", role="owner")
