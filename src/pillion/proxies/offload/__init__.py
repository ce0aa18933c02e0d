"""The NGINX in front of the app: its configuration, and files that are compressed beforehand."""
