"""Real agents that tests and the demo run against the stand-in for a model's API."""
