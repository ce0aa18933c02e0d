#!/bin/sh
# A service as one is written for systemd, with systemd-notify(1). It knows nothing of Pillion. Usage: service.sh BROKEN_FILE
systemd-notify --status=starting
systemd-notify --ready --pid=$$ --status=serving
while [ ! -e "$1" ]; do
    systemd-notify WATCHDOG=1
    sleep 0.3
done
while :; do sleep 0.1; done
