"""A service as one is written for systemd, with python3-systemd. It knows nothing of Pillion. Usage: service.py BROKEN_FILE"""

import faulthandler
import os
import sys
import time

from systemd import daemon

faulthandler.enable()
daemon.notify("STATUS=starting")
interval_s = int(os.environ["WATCHDOG_USEC"]) / 1e6 / 3
daemon.notify("READY=1\nSTATUS=serving")


def feed_for_ever() -> None:
    while not os.path.exists(sys.argv[1]):
        daemon.notify("WATCHDOG=1")
        time.sleep(interval_s)


def stuck_in_a_loop() -> None:
    while True:
        time.sleep(0.01)


feed_for_ever()
stuck_in_a_loop()
