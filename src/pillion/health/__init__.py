"""Checks and what they add up to: thresholds live here, so that a flapping probe cannot flap the registry."""
