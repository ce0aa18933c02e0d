"""The sidecar pattern as one installable program: `pillion run -- COMMAND`."""

__version__ = "0.1.0"
