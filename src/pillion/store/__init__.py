"""Key-value, lease and watch, over more than one engine: what configuration, manual registrations and locks are kept in."""
