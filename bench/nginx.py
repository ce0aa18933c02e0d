"""NGINX as a reverse proxy for a figure: one worker, kept upstream connections, a JSON record of each request."""

from __future__ import annotations

import os

from bench.peers import NGINX
from bench.proc import children
from bench.proxy import CONNECT_S, CONNECTIONS, TRY_S, Proxy, Upstream, free_ports
from bench.workbench import Bench, wait_for


def start(bench: Bench, upstream: Upstream, cpus: set[int]) -> Proxy:
    """Start it on the given cores."""
    folder = bench.fresh("n")
    plain, tls = free_ports(2)
    path = f"{folder}/nginx.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(_configuration(folder, upstream, plain, tls))
    command = [bench.peers.paths[NGINX], "-p", folder, "-c", path, "-e", f"{folder}/error.log"]
    master = bench.spawn(command, cpus=cpus).pid
    wait_for(lambda: bool(children(master)), "nginx has a worker")
    worker = children(master)[0]
    return Proxy("NGINX", plain, tls, (master, worker), (master, worker)).wait_for_answers()


def _configuration(folder: str, upstream: Upstream, plain: int, tls: int) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {CONNECTIONS + 4000};
pid {folder}/nginx.pid;
events {{ worker_connections {CONNECTIONS}; }}
http {{
    log_format record escape=json '{{"time":"$time_iso8601","method":"$request_method","host":"$host","path":"$uri",'
        '"status":$status,"upstream":"$upstream_addr","bytes":$body_bytes_sent,"connect":"$upstream_connect_time",'
        '"first":"$upstream_header_time","total":$request_time,"peer":"$remote_addr"}}';
    access_log {folder}/access.log record buffer=32k flush=50ms;
    keepalive_timeout 75s;
    keepalive_requests 100000000;
    tcp_nodelay on;
    proxy_buffering on;
    proxy_buffer_size 16k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    proxy_temp_path {folder}/proxy;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream far {{
        server 127.0.0.1:{upstream.port} max_fails=5 fail_timeout=10s;
        keepalive 1024;
        keepalive_requests 100000000;
        keepalive_timeout 4s;
    }}
    server {{
        listen 127.0.0.1:{plain} backlog=4096;
        listen 127.0.0.1:{tls} ssl backlog=4096;
        ssl_certificate {upstream.certificate};
        ssl_certificate_key {upstream.key};
        location / {{
            proxy_pass http://far;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_connect_timeout {CONNECT_S}s;
            proxy_read_timeout {TRY_S}s;
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries 2;
        }}
    }}
}}
"""
