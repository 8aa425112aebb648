"""`python -m intact` is the command `intact`."""

from intact.cli.main import main

main()
