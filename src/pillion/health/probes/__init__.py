"""One attempt of a check: each sort asks the world once, within a bound, and gives a `Result` whatever happens.

The same probes find out whether the app is ready (`app.ready`).
"""
