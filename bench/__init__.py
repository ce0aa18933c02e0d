"""Figures, side by side with peers, so that a claim about speed or size can be checked by whoever doubts it."""
