"""What tool calls run: acts on the machine only below the folder it is given, whose name is the call's label.

`worker.py calls/ID --acts N --seed N [--gap S] [--delay S] [--detach] [--own] [--port P]`
"""

import argparse
import os
import random
import socket
import subprocess
import sys
import time


def main() -> None:
    """Act, at random moments drawn from the seed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--acts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gap", type=float, default=0.0, help="mean seconds between two acts")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before the first act")
    parser.add_argument("--detach", action="store_true", help="double fork and setsid, then act")
    parser.add_argument("--own", action="store_true", help="in a folder of this process's own, whose name is printed")
    parser.add_argument("--port", type=int, default=0, help="a port of this machine to connect to now and then")
    options = parser.parse_args()
    if options.detach:
        detach()
    folder = options.folder
    if options.own:
        folder = f"{folder}/w{os.getpid()}"
        os.makedirs(folder)
        print(f"made {folder}", flush=True)
    time.sleep(options.delay)
    chance = random.Random(options.seed)
    for number in range(options.acts):
        time.sleep(chance.expovariate(1 / options.gap) if options.gap else 0)
        act(folder, f"{os.getpid()}-{number}", chance.randrange(6), options.port)


def detach() -> None:
    """Become a daemon: no parent, no session, no terminal."""
    sys.stdout.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def act(folder: str, name: str, choice: int, port: int) -> None:
    """One small thing of the kinds that programs do."""
    path = f"{folder}/{name}.txt"
    with open(path, "w") as file:
        file.write(f"{name}\n" * 100)
    if choice == 0:
        os.rename(path, f"{folder}/{name}.new")
    elif choice == 1:
        subprocess.run(["/bin/cat", path], stdout=subprocess.DEVNULL, check=False)
    elif choice == 2:
        os.mkdir(f"{folder}/{name}.d")
        os.rmdir(f"{folder}/{name}.d")
    elif choice == 3:
        os.chmod(path, 0o600)
        os.unlink(path)
    elif choice == 4 and port:
        with socket.socket() as client:
            client.settimeout(2)
            client.connect_ex(("127.0.0.1", port))
    else:
        with open(path) as file:
            file.read()


if __name__ == "__main__":
    main()
