"""Facts about where the app runs: host, container, pod, cloud, process. Read when asked for, and never anything secret."""
