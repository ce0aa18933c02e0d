"""Facts about where the app runs: host, container, pod, cloud, process."""
