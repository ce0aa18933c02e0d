"""http floor."""
