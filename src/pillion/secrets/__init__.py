"""Secrets by reference: read where the platform put them when they are asked for, and kept nowhere."""
