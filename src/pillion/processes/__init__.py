"""processes floor."""
