"""From a change to a version that is proved to serve: what is decided, who carries it out, and what is waited for."""
