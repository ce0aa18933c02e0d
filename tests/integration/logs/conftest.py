"""Lets these tests import the helpers beside the test kinds: `logs_spooling`, `otlp_receiver`."""

import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)
