"""What the recorder says at the end of a recording."""

from intact.cli.collector import Summary


def test_a_recording_that_ended_early_is_not_called_complete() -> None:
    summary = Summary()
    summary.effects = 7
    assert summary.text(2_000_000_000) == "recorded 0 calls, 0 tool calls, 7 effects in 2.0 s; complete"
    cut = summary.text(2_000_000_000, "no room left")
    assert cut == "saw 0 calls, 0 tool calls, 7 effects in 2.0 s; incomplete"
