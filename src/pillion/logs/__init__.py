"""The output's way from the spool to its readers: `pillion logs`, the API, receivers and files."""
