"""Runs a command and writes its wall seconds to a file: `python timed.py FILE CMD ARG…`; the same in both arms of a pair."""

import subprocess
import sys
import time

before = time.perf_counter()
code = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
took = time.perf_counter() - before
with open(sys.argv[1], "w") as out:
    out.write(f"{took}\n")
sys.exit(code)
