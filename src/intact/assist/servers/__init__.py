"""The tools, one file a server."""
