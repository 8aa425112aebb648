"""The recorded command: starts the noise beside the agent, waits for the agent, and ends with its exit code.

`launcher.py SPEC.json`, where the specification holds `agent {argv, env, cwd}`, `noise {argv}` and `linger_s`.
"""

import json
import subprocess
import sys
import time


def main() -> int:
    """Run both; the noise goes on until what the agent left running had time to end."""
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    noise = subprocess.Popen(spec["noise"]["argv"], stdin=subprocess.DEVNULL) if spec["noise"] else None
    agent = spec["agent"]
    done = subprocess.run(
        agent["argv"], env=agent["env"], cwd=agent["cwd"], stdin=subprocess.DEVNULL, timeout=300, check=False
    )
    time.sleep(spec["linger_s"])
    if noise is not None:
        noise.terminate()
        noise.wait()
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


if __name__ == "__main__":
    sys.exit(main())
