"""A plain loop that renders and reloads, as confd and scripts of its kind do: ask the source every so often, write the file when it has changed,
have the proxy check it, and signal its master. Nothing is proved, taken back or kept.

    render_and_reload.py SOCKET PATH INTERVAL_S SKELETON FILE MASTER SIGNAL CHECK…

`SKELETON` is the configuration with `@MEMBERS@` where a line for each member belongs; `CHECK` is the command that checks `FILE.new`.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time


def members(path: str, what: str) -> str:
    """A line for each member that the source names."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("GET", what)
    found = json.load(connection.getresponse())["instances"]
    connection.close()
    return "\n".join(f"server {one['id']} {one['address']}:{one['port']}" for one in found)


def main() -> None:
    """Loop until TERM."""
    path, what, interval_s, skeleton, file, master, name, *check = sys.argv[1:]
    with open(skeleton, encoding="utf-8") as text:
        written = text.read()
    # nginx gives its servers no names.
    named = "haproxy" in check[0]
    before = ""
    while True:
        said = members(path, what)
        lines = said if named else "\n".join(f"server {x.split()[2]};" for x in said.splitlines())
        if lines != before:
            with open(f"{file}.new", "w", encoding="utf-8") as new:
                new.write(written.replace("@MEMBERS@", lines))
            done = subprocess.run(check, capture_output=True, check=False)
            if done.returncode == 0:
                os.rename(f"{file}.new", file)
                os.kill(int(master), getattr(signal, name))
                before = lines
        time.sleep(float(interval_s))


if __name__ == "__main__":
    main()
