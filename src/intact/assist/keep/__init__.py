"""What the assistant keeps between requests: sessions, answers, feedback, used ids and readings."""
