"""Faults made for real in a scope of their own, and whether the diagnosis names them: `python -m bench diagnosis`."""
