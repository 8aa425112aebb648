"""What every benchmark gives back."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether the promised numbers were reached, and everything measured, as JSON."""

    reached: bool
    report: dict[str, Any]
