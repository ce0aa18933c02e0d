"""What is NGINX's own: its checks and loads, its words, its workers."""
