"""Checks of the app and of what it needs, and the one word that they come to: passing, warning or critical."""
