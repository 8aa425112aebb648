"""Peers of descriptors: bounded, and the newest are kept."""

import socket

import pytest

from intact.decode import peers as module
from intact.decode.net import inet_text
from intact.decode.peers import Peer, Peers
from intact.decode.records import split_ring
from tests.decode import made


def noted(peers: Peers, records: list[made.Made]) -> None:
    raw = made.raw(records)
    for name, data in raw.rings.items():
        for part in split_ring(name, data).parts:
            peers.note(part)


def test_only_the_newest_descriptors_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DESCRIPTORS", 10)
    peers = Peers()
    for i in range(100):
        noted(peers, [made.net(100 + i, bytes([10, 0, 0, i]), fd=i)])
    assert len(peers._notes) <= 20
    assert peers.of(1, 42, made.START, 99, 1 << 40) == Peer(address="10.0.0.99", port=443)
    assert peers.of(2, 42, made.START, 3, 1 << 40) is None


def test_of_one_descriptor_the_latest_before_the_question_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DESCRIPTORS", 2)
    peers = Peers()
    noted(peers, [made.net(100 + i, bytes([10, 0, 0, i]), fd=7) for i in range(50)])
    assert len(peers._notes) == 1
    assert peers.of(1, 42, made.START, 7, 1_000) == Peer(address="10.0.0.49", port=443)


def test_what_did_not_connect_is_no_peer() -> None:
    peers = Peers()
    noted(peers, [made.net(100, bytes([10, 0, 0, 1]), result=-111), made.net(101, b"", family=socket.AF_UNIX)])
    assert peers.of(1, 42, made.START, 5, 1_000) is None
    assert peers.of(1, 42, made.START, -1, 1_000) is None


def test_connections_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)
    peers = Peers()
    noted(peers, [made.net(100, bytes([10, 0, 0, 1]))])
    for connection in range(10):
        assert peers.of(connection, 42, made.START, 5, 1_000)
    assert len(peers._known) == 3
    peers.forget(9)
    assert len(peers._known) == 2


def test_addresses_of_other_families_have_no_text() -> None:
    assert inet_text(16, bytes(16)) == ""
