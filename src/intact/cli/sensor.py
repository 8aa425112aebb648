"""`intact sensor`: the daemon of a host. Watches the host or one cgroup, finds agents, and writes what they do to a spool."""

import intact.cli.without_pandas  # noqa: F401, I001  before pyarrow
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import typer

from intact.assemble.redact import Redactor
from intact.cli.sensor_governing import SensorEnforcement
from intact.cli.terminal import safe
from intact.collect.host_metrics import HostMeter, sample
from intact.collect.processes import environment_of
from intact.collect.sensor import SensorCollector
from intact.govern.configured import configured
from intact.identify.endpoint import KNOWN_ENDPOINTS
from intact.identify.registry import Mark, Registry
from intact.model.config import Config, LogLevel, load_config
from intact.model.errors import IntactError, NotSupported
from intact.model.facts import Agent
from intact.model.recognition import EndpointRule, PathForm, ProcessRule, RecognitionRules
from intact.model.slice import Slice
from intact.pipeline import FrontSettings, front
from intact.store.manual_agents import ManualAgents
from intact.store.runs import DataDirectory, Run
from intact.store.segments import Limits, SegmentWriter

_CAPABILITIES = (1 << 39) | (1 << 38) | (1 << 19)  # CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE
INTERVAL_S = 0.08  # an idle host is looked at often enough; a ring that fills is drained sooner
MEASURE_S = 10.0  # between measurements of the host
LOOK_S = 1.0  # how often the file of `intact agents add` is looked at
MOST_TOLD = 4_096
HOUR_NS = 3_600_000_000_000
AI_AGENT = "proc.ai_agent"


def run(
    config: Path | None = typer.Option(None, "--config", metavar="F", help="Config; default: /etc/intact/intact.yaml."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory; its runs are the spool."),
) -> int:
    """Watch the host, or the cgroup of the config, and record what agents do there, until SIGTERM.

    SIGHUP reads the config again. It opens no port and no database. Example: sudo intact sensor --config intact.yaml
    """
    if not sys.platform.startswith("linux"):
        raise NotSupported("the sensor needs Linux; reading runs, replay and query work here")
    settings = load_config(config)
    if os.geteuid() != 0 and not _has_capabilities():
        raise NotSupported("the sensor needs root or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE")
    directory = DataDirectory.locate(data)
    with _only_one(directory):
        Sensor(config, settings, directory).run()
    return 0


class Sensor:
    """One start of the sensor, which is one long run."""

    def __init__(self, path: Path | None, config: Config, directory: DataDirectory) -> None:
        self._path = path
        self._config = config
        self._directory = directory
        self._manual = ManualAgents(directory)
        self._manual_stamp = self._manual.stamp()
        self._stopping = False
        self._reload = False
        self._next_look = 0.0
        self._meter = HostMeter()
        self._next_measure = 0.0
        self._told: dict[int, str] = {}  # by agent, the role that the log has
        self._problem: str | None = None
        self._collector: SensorCollector | None = None
        self._enforcement: SensorEnforcement | None = None

    def run(self) -> None:
        """From probes on to run closed."""
        for number, handler in ((signal.SIGTERM, self._stop), (signal.SIGINT, self._stop), (signal.SIGHUP, self._hup)):
            signal.signal(number, handler)
        rules = self._rules()
        cgroup = Path(self._config.scope.cgroup) if self._config.scope.cgroup else None
        with SensorCollector(cgroup, rules.endpoints, cache=self._directory.cache()) as collector:
            self._collector = collector
            collector.attach()
            registry = Registry(collector.host, rules, environment=environment_of)
            told = FrontSettings(
                redaction_key=self._directory.redaction_key(),
                registry=registry,
                max_body_bytes=lambda: self._config.inputs.proc.ai_agent.payload_bound,
            )
            made = self._directory.new_run(collector.host, name="sensor", command=["intact", "sensor"])
            run = replace(made, raw_reads=self._config.spool.raw_reads)
            self._directory.save(run)
            self._enforcement = SensorEnforcement(self._directory.path, cgroup, run.host, self._config)
            self._enforcement.root_of = registry.root_of
            self._log(LogLevel.INFO, f"watching {cgroup or 'the host'}; run {run.id}")
            _tell_service_manager("READY=1")
            slices = front(collector.slices(lambda: self._stopping, interval_s=INTERVAL_S), run.host, settings=told)
            clean = Redactor(told.redaction_key).text
            self._write(self._enforcement.watch(slices, clean=clean), run, registry)
            self._directory.save(replace(run, ended_ns=collector.now_ns(), exit_code=0, problem=self._problem))
            judged = collector.judgement.judged() if collector.judgement is not None else None
        stayed = f"; {judged.bytes:,} bytes of plaintext of others stayed in the kernel" if judged else ""
        self._log(LogLevel.INFO, f"stopped; run {run.id}{stayed}")

    def _write(self, slices: Iterator[Slice], run: Run, registry: Registry) -> None:
        writer = SegmentWriter(run.segments, run.host, limits=Limits(age_s=float(self._config.spool.segment_seconds)))
        for piece in slices:
            self._tell_kernel(registry)
            self._tell_agents(piece)
            if self._reload or time.monotonic() >= self._next_look:
                self._look_again(registry)
            if not self._config.inputs.proc.ai_agent.file_io_enabled and "io" in piece.effects:
                piece = replace(piece, effects={name: rows for name, rows in piece.effects.items() if name != "io"})
            self._keep(writer, self._with_measurements(piece, run.host.name))
        try:
            writer.close()
        except IntactError as error:
            self._fail(error)

    def _with_measurements(self, piece: Slice, host: str) -> Slice:
        """With the core metrics of the host, when they are due; they are of the end of the slice."""
        if time.monotonic() < self._next_measure:
            return piece
        self._next_measure = time.monotonic() + MEASURE_S
        try:
            metrics = sample(self._meter.measure(), host, piece.until_ns)
        except (OSError, ValueError, KeyError) as error:
            self._log(LogLevel.WARNING, f"the host cannot be measured: {error}")
            return piece
        return replace(piece, facts=(*piece.facts, *metrics))

    def _keep(self, writer: SegmentWriter, piece: Slice) -> None:
        try:
            writer.write(piece)
        except IntactError as error:
            # The writer goes on trying and counts what it could not keep; those we watch must not feel it.
            self._fail(error)

    def _fail(self, error: IntactError) -> None:
        self._problem = self._problem or str(error)
        self._log(LogLevel.ERROR, str(error))

    def _tell_kernel(self, registry: Registry) -> None:
        """The one road back: who is known as an agent, for the judgement of plaintext."""
        judgement = self._collector.judgement if self._collector is not None else None
        for key, mark in registry.marks():
            if judgement is None:
                continue
            if mark is Mark.FORGOTTEN:
                judgement.forget(key)
            else:
                judgement.tell(key, is_agent=mark is Mark.KNOWN)

    def _tell_agents(self, piece: Slice) -> None:
        for fact in piece.facts:
            if isinstance(fact, Agent) and self._told.get(fact.id) != fact.role:
                self._told[fact.id] = fact.role
                while len(self._told) > MOST_TOLD:
                    del self._told[next(iter(self._told))]
                self._log(LogLevel.INFO, f"{fact.role} {safe(fact.name)}: {safe(fact.reason)}")

    def _look_again(self, registry: Registry) -> None:
        """Take over a changed config or list of agents, whole or not at all; nothing that is watched stops for it."""
        stamp = self._manual.stamp()
        wanted, self._reload = self._reload, False
        self._next_look = time.monotonic() + LOOK_S
        if not wanted and stamp == self._manual_stamp:
            return
        before = self._config
        try:
            if wanted:
                self._config = load_config(self._path)
            rules = self._rules()
            if self._collector is not None and self._collector.judgement is not None:
                self._collector.judgement.want(rules.endpoints)
        except IntactError as error:
            self._config = before
            self._manual_stamp = stamp  # what cannot be read is told once
            self._log(LogLevel.ERROR, f"the old config stays: {error}")
            return
        self._manual_stamp = stamp
        registry.use(rules)
        if wanted and self._enforcement is not None:
            self._enforcement.use(self._config)
        if (before.scope, before.spool) != (self._config.scope, self._config.spool):
            self._log(LogLevel.WARNING, "a change of scope or spool needs a restart of the sensor")
        self._log(LogLevel.INFO, "config taken over" if wanted else "list of agents taken over")

    def _rules(self) -> RecognitionRules:
        configured(self._config.inputs.proc.ai_agent.enforcement)  # what cannot be expressed is an error of the config
        agent, matchers = self._config.inputs.proc.ai_agent, self._config.inputs.proc.process_matcher
        own = tuple(
            EndpointRule(path=path, form=PathForm.PREFIX, api="configured", score=0.7) for path in agent.http_endpoints
        )
        return RecognitionRules(
            endpoints=(*(KNOWN_ENDPOINTS if agent.known_endpoints else ()), *own),
            processes=tuple(
                ProcessRule(match_on=each.match_type, pattern=each.match_regex)
                for each in matchers
                if AI_AGENT in each.enabled_features
            ),
            manual=self._manual.rules(),
            idle_ns=agent.idle_hours * HOUR_NS,
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping = True

    def _hup(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._reload = True

    def _log(self, level: LogLevel, message: str) -> None:
        order = list(LogLevel)
        if order.index(level) <= order.index(self._config.log_level):
            print(f"intact sensor: {message}", file=sys.stderr, flush=True)


@contextmanager
def _only_one(directory: DataDirectory) -> Iterator[None]:
    """Hold the data directory against a second sensor."""
    path = directory.make() / "sensor.lock"
    with open(path, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IntactError(f"another sensor writes to {path.parent}; give this one its own --data") from None
        yield


def _has_capabilities() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & _CAPABILITIES == _CAPABILITIES
    return False


def _tell_service_manager(state: str) -> None:
    """sd_notify(3), where a service manager asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
