"""settings floor."""
