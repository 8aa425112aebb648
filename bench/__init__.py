"""The numbers the project promises, each measured by a command: `python -m bench NAME`."""
