"""What may be wrong with ports, connections and services."""

from collections.abc import Iterator

from intact.assist.diagnosis.hypothesis import Fault, Hypothesis, Quantity
from intact.assist.diagnosis.thresholds import at
from intact.assist.diagnosis.view import View
from intact.model.host import LogClass

_OWN = ("127.", "0.0.0.0", "::1", "localhost")
_NEVER_ENDS = "CLOSE_WAIT"


def refused_port(view: View) -> Iterator[Hypothesis]:
    """Ports that somebody wants and nobody listens on; if one listens again, that is over."""
    lines: dict[str, int] = {}
    for trouble in view.sampling.troubles:
        if trouble.kind is LogClass.REFUSED and trouble.recent:
            for endpoint in trouble.endpoints:
                lines[endpoint] = lines.get(endpoint, 0) + trouble.recent
    for endpoint, count in lines.items():
        address, _, port = endpoint.rpartition(":")
        is_own = address.startswith(_OWN)
        if count >= at("refused_lines") and not (is_own and int(port) in view.sampling.ports):
            yield Hypothesis(
                fault=Fault.REFUSED_PORT, object=endpoint, kind="port", score=0.8 if is_own else 0.65, port=int(port),
                by=(
                    Quantity(name="refused_lines", value=float(count), unit="count"),
                    Quantity(name="listeners", value=0.0, unit="count"),
                ),
            )  # fmt: skip


def listen_overflow(view: View) -> Iterator[Hypothesis]:
    """Ports whose queue of connections is full, and stays so: who listens does not accept."""
    before = {(each.address, each.port): each for each in view.sampling.listeners_before}
    for each in view.sampling.listeners:
        old = before.get((each.address, each.port))
        if old is None or not each.backlog or each.protocol != "tcp":
            continue
        if min(old.queued, each.queued) >= each.backlog:
            yield Hypothesis(
                fault=Fault.LISTEN_OVERFLOW, object=f"{each.address}:{each.port}", kind="port", score=0.8,
                pid=each.pid, port=each.port,
                by=(
                    Quantity(name="queued", value=float(each.queued), unit="count"),
                    Quantity(name="backlog", value=float(each.backlog), unit="count"),
                ),
            )  # fmt: skip


def connection_leak(view: View) -> Iterator[Hypothesis]:
    """Who keeps connections that the other side has closed."""
    before = {each.pid: each.count for each in view.sampling.connections_before if each.state == _NEVER_ENDS}
    for each in view.sampling.connections:
        if each.state == _NEVER_ENDS and each.pid and min(each.count, before.get(each.pid, 0)) >= at("close_wait"):
            yield Hypothesis(
                fault=Fault.CONNECTION_LEAK, object=f"{each.name}[{each.pid}]", kind="process", score=0.8, pid=each.pid,
                by=(Quantity(name="close_wait", value=float(each.count), unit="count"),),
            )  # fmt: skip


def failed_service(view: View) -> Iterator[Hypothesis]:
    """Services that the service manager has given up."""
    for each in view.sampling.services:
        if each.active == "failed":
            yield Hypothesis(
                fault=Fault.SERVICE_FAILED, object=each.name, kind="service", score=0.7,
                by=(Quantity(name="failed", value=1.0, unit="count"),),
            )  # fmt: skip
