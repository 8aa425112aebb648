"""Intact ties every action of an AI agent to the words that caused it."""

__version__ = "0.1.0"
