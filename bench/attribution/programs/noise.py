"""A program that has nothing to do with any agent and is busy all the time: `noise.py FOLDER SEED PORT`, until SIGTERM."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

MEAN_GAP_S = 0.03


def stop(number: int, frame: FrameType | None) -> None:
    """Leave at once."""
    raise SystemExit(0)


def main() -> None:
    """Write, read, start programs and connect, at random moments."""
    folder, seed, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGTERM, stop)
    os.makedirs(folder, exist_ok=True)
    chance = random.Random(seed)
    number = 0
    while True:
        time.sleep(chance.expovariate(1 / MEAN_GAP_S))
        number += 1
        path = f"{folder}/{number % 50}.txt"
        with open(path, "w") as file:
            file.write("noise\n" * 10)
        choice = chance.randrange(5)
        if choice == 0:
            subprocess.run(["/bin/sh", "-c", f"echo x > {folder}/child.txt; cat {path} > /dev/null"], check=False)
        elif choice == 1:
            subprocess.run(["/bin/cat", path], stdout=subprocess.DEVNULL, check=False)
        elif choice == 2 and port:
            with socket.socket() as client:
                client.settimeout(1)
                client.connect_ex(("127.0.0.1", port))
        elif choice == 3:
            os.rename(path, f"{folder}/renamed.txt")


if __name__ == "__main__":
    main()
