"""Keeper and scribe: the two processes that cannot fail, on the standard library alone.

Nothing here imports the rest of Pillion, and nothing that starts slowly (`re`, `typing`, `dataclasses`, `asyncio`): `pillion run` is to
reach the app's exec within a few times the start of a bare interpreter.
"""
