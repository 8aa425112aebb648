"""The places as fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.assist.keep.places import Place, Valkey


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place("sqlite", tmp_path)
    server: Valkey = request.getfixturevalue("valkey")
    server.empty()
    return Place(server.url, tmp_path)
