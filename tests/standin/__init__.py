"""A stand-in for a model's API on loopback, for tests and the demo; its log is the ground truth of capture tests."""

from tests.standin.exchange_log import Exchange
from tests.standin.script import Script, Scripts, Step, ToolCall
from tests.standin.standin import Standin, StandinError

__all__ = ["Exchange", "Script", "Scripts", "Standin", "StandinError", "Step", "ToolCall"]
