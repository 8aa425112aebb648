"""Measures this host now and then for as long as `serve` runs, unless a sensor of the same data directory does."""

import contextlib
import fcntl
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from intact.collect.host_metrics import HostMeter, sample
from intact.model.errors import IntactError
from intact.store.database import Database
from intact.store.measurements import insert_measurements

_LOG = logging.getLogger("intact.serve")

SENSOR_LOCK = "sensor.lock"


@contextlib.contextmanager
def measuring(database: Database, host: str, every_s: float) -> Iterator[None]:
    """Measure every so many seconds, from a thread with a connection of its own; 0: never."""
    if every_s <= 0:
        yield
        return
    stopped = threading.Event()
    thread = threading.Thread(target=_measure, args=(database, host, every_s, stopped), name="measure", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _measure(database: Database, host: str, every_s: float, stopped: threading.Event) -> None:
    meter = HostMeter()
    meter.measure()  # so that the first that is kept has rates
    is_told = False
    with contextlib.closing(database.view()) as view:
        while not stopped.wait(every_s):
            if is_sensing(database.data.path):
                continue
            try:
                insert_measurements(view, sample(meter.measure(), host, time.time_ns()))
            except (IntactError, OSError) as error:
                if not is_told:  # a full disk is told of once, not every ten seconds
                    _LOG.warning("this host cannot be measured: %s", error)
                is_told = True
            else:
                is_told = False


def is_sensing(data: Path) -> bool:
    """Whether a sensor that writes to this data directory runs; it measures the host itself."""
    try:
        with (data / SENSOR_LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
