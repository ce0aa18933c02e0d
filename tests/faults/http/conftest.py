import os
import sys

# The server under test and its raw client are written once, beside the integration tests.
_HERE = os.path.dirname(__file__)
sys.path.insert(0, os.path.join(_HERE, "..", "..", "integration", "http"))
