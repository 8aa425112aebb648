"""The model's way through a question: what it reads, which tools it has, what stops it. Only loaded with a model."""
