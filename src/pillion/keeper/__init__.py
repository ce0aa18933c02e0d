"""keeper floor."""
