"""The few numbers that steer the correlation, each with its reason."""

from dataclasses import dataclass

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelateSettings:
    """Windows are data time; bounds are counted as `Loss` when they bite."""

    settle_ns: int = 250 * MILLISECOND  # an undecided effect waits this long for the facts that explain it
    horizon_ns: int = 5 * SECOND  # later evidence does not change a decision
    late_ns: int = 1_500 * MILLISECOND  # a row is told at most this long after its start (sums are cut each second)
    early_ns: int = 1_000 * MILLISECOND  # an agent may start a tool's child before the arguments are whole
    time_window_ns: int = 500 * MILLISECOND  # nearness in time: a hint, never a claim
    held_rows: int = 200_000  # rows kept with their columns while it is not known whose they are
    cold_rows: int = 1_000_000  # rows of which only the id is kept: the start of what may turn out to be an agent
    kept_rows: int = 2_000_000  # ids of linked rows that a revision may touch
    open_brackets: int = 1_024  # tool calls of one agent without an answer
    learnt_paths: int = 65_536  # of one agent
    nodes: int = 131_072  # processes remembered


DEFAULT = CorrelateSettings()
