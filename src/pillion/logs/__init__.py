"""logs floor."""
