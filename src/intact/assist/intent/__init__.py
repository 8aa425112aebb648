"""The intent gate: five levels that say what a question is, before anything is run for it."""
