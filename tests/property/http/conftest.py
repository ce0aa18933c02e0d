import os
import sys

# The two codecs are loaded in one place, for unit and property tests.
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "unit", "http"))
