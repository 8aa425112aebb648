"""Tests, mirroring src; the stand-in for a model's API and the agents that run against it."""
