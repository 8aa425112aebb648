"""The least of a shell with job control: runs one job in the foreground and tells its stops and its end.

`job_shell.py TOLD ORDERS COMMAND…`, on a terminal of its own: tells `stopped` and `exit N` on one descriptor; a line on the
other is `fg`.
"""

import os
import signal
import sys


def main() -> None:
    """Run the job to its end."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    told, orders = os.fdopen(int(sys.argv[1]), "w", buffering=1), os.fdopen(int(sys.argv[2]), "r")
    for kept in (told, orders):
        os.set_inheritable(kept.fileno(), False)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execv(sys.argv[3], sys.argv[3:])
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        os.tcsetpgrp(0, os.getpgrp())
        if not os.WIFSTOPPED(status):
            print(f"exit {os.waitstatus_to_exitcode(status)}", file=told)
            return
        print("stopped", file=told)
        orders.readline()
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)


if __name__ == "__main__":
    main()
