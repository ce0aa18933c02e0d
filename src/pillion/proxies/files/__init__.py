"""A proxy's files on disk: written beside, moved in or back, kept in a history, and watched for the edits of others."""
