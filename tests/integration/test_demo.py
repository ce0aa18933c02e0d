"""`make demo` shows what it promises, by itself, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_DEMO = _ROOT / "examples" / "shop" / "demo.py"


@pytest.mark.timeout(300)
def test_the_demo_runs_by_itself_and_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, str(_DEMO)],
        env={**os.environ, "DEMO_SECONDS": "4"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stderr}\n{done.stdout[-4000:]}"
    for promised in (
        "storefront itself did not notice",
        "kettle for 29.90",
        "$ pillion upgrade --instance storefront",
        "0 failed",
        "ordering is closed for the moment: circuit-open",
        "ordering is open again",
        "GET orders/orders/",
        "every order goes to orders-next now; no request failed",
        "the app has not heard of any of it",
        "$ pillion proxy status edge --instance storefront",
        "0 failed; HAProxy was never reloaded",
        "storefront ended with code 0\norders ended with code 0\norders-2 ended with code 0\norders-next ended with code 0\nbilling ended with code 0\n",
        "done: everything stopped in order, nothing left behind",
    ):
        assert promised in done.stdout
