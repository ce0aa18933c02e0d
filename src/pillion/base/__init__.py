"""base floor."""
