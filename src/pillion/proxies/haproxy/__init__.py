"""What is HAProxy's own: its files, its sockets, its words, and changes without a reload."""
