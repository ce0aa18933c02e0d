"""Secrets by reference: read when they are asked for, and kept nowhere."""
