"""The assistant: intents, experts, tools, sessions, evidence."""
