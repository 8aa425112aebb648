"""The types that flow; no behaviour beyond derived properties."""
