"""Who serves what, and where: announcements of this host and manual registrations, merged."""
