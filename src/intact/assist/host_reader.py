"""What the tools of the host need of the machine; `collect` reads it, `cli` puts the two together."""

from collections.abc import Collection
from typing import Protocol

from intact.model.host import Part, Sampling, Within


class HostReader(Protocol):
    """The machine we run on, or a part of it."""

    name: str
    scope: Within

    def within(self, within: Within) -> "HostReader":
        """The same machine, of which less is looked at."""

    def sample(self, parts: Collection[Part], *, window_s: float = 0.0, steps: int = 0) -> Sampling:
        """Look at these parts now, and `steps` more times within the window."""

    def connect(self, address: str, port: int) -> tuple[str, int]:
        """Try a port of this machine: `open`, `refused`, `timeout` or `error`, and the errno.

        Raises:
            ValueError: the address is another machine's.
        """
