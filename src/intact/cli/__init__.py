"""One file per command; each joins the rooms to the person at the terminal."""
