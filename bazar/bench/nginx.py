"""nginx's own cache in front of a shop, configured as well as we can."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bazar.bench.http_client import HOST

SYSTEM_PATHS = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"))

# `no-cache` is for browsers, but proxy_cache would obey it. Two servers share one cache: one logs
# as Bazar does, a line per request, written in batches; the other does not log.
CONFIG = """
{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  proxy_cache_path {directory}/cache levels=1:2 keys_zone=books:10m max_size=100m;
  proxy_temp_path {directory}/proxy; client_body_temp_path {directory}/body;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  proxy_ignore_headers Cache-Control;
  proxy_cache books; proxy_cache_valid 200 300s; proxy_cache_key $request_uri;
  add_header X-Cache-Status $upstream_cache_status;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  open_file_cache max=1000 inactive=300s; open_file_cache_valid 300s;
  sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 60s;
  upstream shop {{ server {host}:{upstream}; keepalive 16; }}
  server {{ listen {host}:{logging}; access_log {directory}/access.log combined buffer=64k flush=1s;
           location / {{ proxy_pass http://shop; }} }}
  server {{ listen {host}:{silent}; access_log off;
           location / {{ proxy_pass http://shop; }} }}
}}
"""


def installed() -> str | None:
    """Return the path of nginx, or None; an ordinary user's PATH may lack it."""
    return shutil.which("nginx") or shutil.which("nginx", path=SYSTEM_PATHS)


def prepare(directory: Path, upstream: int, logging: int, silent: int) -> Path:
    """Write a configuration for these ports; return its path."""
    directory.mkdir()
    path = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else the worker can't enter our directory
    path.write_text(
        CONFIG.format(
            user=user,
            directory=directory,
            host=HOST,
            upstream=upstream,
            logging=logging,
            silent=silent,
        )
    )
    return path
