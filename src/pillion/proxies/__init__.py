"""NGINX and HAProxy, managed from live state: rendered, checked, loaded and proved, or taken back."""
