"""Programs that run inside (and beside) the observed scope; each is a script without imports of ours."""
