"""lifecycle floor."""
