"""The app of the fault tests: writes numbered lines at a given rate for a given time, and reports its slowest write.

    python tests/paced_writer.py LINES_PER_S SECONDS REPORT

Each line is a write of its own. REPORT gets, by rename, `{"lines": …, "bytes": …, "longest_ms": …, "behind_s": …}` at the end.
SIGTERM ends it early, with the report.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def main() -> None:
    """Write until the time is over."""
    rate, seconds, report = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    stop = False

    def on_term(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, on_term)
    clock = time.monotonic
    start = clock()
    number = size = 0
    longest = 0.0
    padding = b"x" * 60
    while not stop:
        now = clock()
        if now - start >= seconds:
            break
        # What is due by now, in writes of one line each.
        due = int((now - start) * rate)
        while number < due and not stop:
            line = b"line %010d %s\n" % (number, padding)
            before = clock()
            os.write(1, line)
            took = clock() - before
            longest = max(longest, took)
            number += 1
            size += len(line)
        time.sleep(0.001)
    behind = clock() - start - number / rate
    with open(f"{report}.new", "w") as file:
        json.dump(
            {"lines": number, "bytes": size, "longest_ms": longest * 1000, "behind_s": behind}, file
        )
    os.rename(f"{report}.new", report)


if __name__ == "__main__":
    main()
