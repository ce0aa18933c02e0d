import os
import sys

# The driver of a ring is in one place, for unit and property tests.
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "unit", "keeper"))
