"""The app waits for what the agent imports before it is ready; nobody adds to that unseen."""

from __future__ import annotations

import subprocess
import sys

# What only the API's clients need, and what only some features do: each is loaded when it is wanted.
LATE = {
    "pillion.api.table", "pillion.api.application", "pillion.http.server", "pillion.http.codec", "pillion.logs.records",
    "pillion.logs.recognise", "pillion.ambassador.wire", "pillion.proxies.overview", "pillion.proxies.fleet", "http", "json", "ctypes",
    "urllib.parse", "ipaddress", "jinja2", "yaml", "tomllib", "jsonschema", "psutil", "grpc", "google.protobuf", "email", "pathlib",
    "tempfile", "dataclasses", "argparse", "difflib", "watchfiles",
}  # fmt: skip


def test_what_the_agent_is_made_of_before_it_is_ready() -> None:
    code = "import sys, pillion.processes.agent; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    plain = "import sys; print(*sys.modules)"
    bare = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True)
    # What a path file of the environment imports by itself is nobody's here.
    loaded = set(done.stdout.split()) - set(bare.stdout.split())
    assert loaded & LATE == set()
    assert "pillion.processes.agent_parts" in loaded
