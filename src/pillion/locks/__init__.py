"""Locks with fencing tokens, and leader election on top."""
