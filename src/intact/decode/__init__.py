"""Bytes to columns and chunks; the only room that knows the wire format."""
