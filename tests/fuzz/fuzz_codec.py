"""A coverage-guided fuzzer for what reads bytes of strangers: the HTTP codec, header fields, PROXY headers.

    python tests/fuzz/fuzz_codec.py request --seconds 60      look for a finding
    python tests/fuzz/fuzz_codec.py request --input BASE64    look at one input again

An input that takes a new way through the source is kept and changed further. It is our own, since
the fuzzers for Python have no build for every machine that we run on, and this needs nothing.
"""

import argparse
import base64
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from random import Random

import fuzz_seeds
from fuzz_coverage import Coverage
from fuzz_mutations import mutate
from fuzz_oracles import Codec, Prelude
from fuzz_worlds import load_worlds

MOST_BYTES = 1400
STUCK_S = 10
"""No input takes longer to read; one that does is a finding."""


def main() -> int:
    """Return 0 when there was no finding, 1 after one; a line of JSON says what was done."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("target", choices=("request", "answer", "prelude"))
    arguments.add_argument("--seconds", type=float, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--input", help="one input, in Base64")
    arguments.add_argument("--crashes", default=".", help="folder for inputs that are findings")
    arguments.add_argument("--sources", help="folder of other sources than the installed ones")
    arguments.add_argument("--missed", action="store_true", help="name the lines never run")
    options = arguments.parse_args()
    source, installed = load_worlds(options.sources)
    oracle: Codec | Prelude
    if options.target == "prelude":
        oracle, seeds = Prelude(source, installed), list(fuzz_seeds.preludes())
    else:
        answers = options.target == "answer"
        oracle = Codec(source, installed, answers=answers)
        seeds = list(fuzz_seeds.answers() if answers else fuzz_seeds.requests())
    files = _files(options.target, source.files)
    coverage = Coverage(files)
    signal.signal(signal.SIGALRM, _stuck)

    def finding(data: bytes) -> str | None:
        signal.alarm(STUCK_S)
        try:
            oracle.outcome(data)
            oracle.check(data)
        except Exception:  # noqa: BLE001 - whatever comes out is the finding
            return traceback.format_exc()
        finally:
            signal.alarm(0)
        return None

    if options.input is not None:
        fault = finding(base64.b64decode(options.input))
        print(fault or "no finding")
        return int(fault is not None)

    random = Random(options.seed)
    until = time.monotonic() + options.seconds
    corpus: list[bytes] = []
    known: set[object] = set()
    runs = 0
    while runs < len(seeds) or time.monotonic() < until:
        if runs < len(seeds):
            data = seeds[runs]
        else:
            # The newest are the least tried.
            at = len(corpus) - 1 - int(random.random() ** 2 * len(corpus))
            data = mutate(corpus[at], random.choice(corpus), random, MOST_BYTES)
        runs += 1
        signal.alarm(STUCK_S)
        try:
            features = coverage.run(lambda data=data: oracle.outcome(data))  # type: ignore[misc]
            new = not features <= known
            # What went a known way is read in the other ways now and then.
            if new or not runs % 8:
                oracle.check(data)
        except Exception:  # noqa: BLE001 - whatever comes out is the finding
            return _report(options.target, options.crashes, data, finding)
        finally:
            signal.alarm(0)
        if new:
            known |= features
            corpus.append(data)
    summary = {"runs": runs, "corpus": len(corpus), "features": len(known)}
    print(json.dumps(summary | {"share": round(coverage.share(), 3), "seed": options.seed}))
    if options.missed:
        print("\n".join(coverage.missed()))
    return 0


def _files(target: str, files: list[str]) -> list[str]:
    """Return those of the sources that the target runs through."""
    wanted = {"request": ("requests", "forwarded"), "answer": ("responses",)}.get(target)
    if wanted is None:
        names = {"proxy_protocol.py"}
    else:
        names = {
            f"{name}.py" for name in ("head", "framing", "reader", "fields", "encode", *wanted)
        }
    return [file for file in files if os.path.basename(file) in names]


def _stuck(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"an input is not read within {STUCK_S} s")


def _report(target: str, folder: str, data: bytes, finding: Callable[[bytes], str | None]) -> int:
    """Make the input as short as it can be, keep it, and say how to see it again."""
    if finding(data) is not None:
        until = time.monotonic() + 5
        size = len(data)
        while size and time.monotonic() < until:
            at = 0
            while at < len(data) and time.monotonic() < until:
                shorter = data[:at] + data[at + size :]
                if finding(shorter) is not None:
                    data = shorter
                else:
                    at += size
            size //= 2
    path = os.path.join(folder, f"{target}-finding.bin")
    with open(path, "wb") as stream:
        stream.write(data)
    print(finding(data) or "the finding does not come again")
    print(f"input: {data!r}, also in {path}")
    print(
        f"again: python tests/fuzz/fuzz_codec.py {target} --input {base64.b64encode(data).decode()}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
