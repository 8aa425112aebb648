"""Chunks to streams, exchanges and calls; secrets stop here."""
