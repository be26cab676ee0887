"""The proxies of docs/deploy, as real programs with ports of a test's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from bazar.bench import nginx
from tests.cluster.cluster import LIBC, PR_SET_PDEATHSIG, ROOT

FILES = ROOT / "docs" / "deploy"
NAME = "localhost"  # instead of shop.example
STOP_S = 30.0

NGINX = """
{user}
worker_processes 1;
daemon off;
pid {place}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  include {place}/bazar.conf;
}}
"""
CADDY = """{{
	admin off
	default_bind 127.0.0.1
	grace_period 1s
	http_port {http}
	https_port {https}
	servers {{
		protocols h1 h2
	}}
}}
"""


@contextmanager
def serving(
    program: str, place: Path, ports: tuple[int, int], doors: Sequence[int], tls: Mapping[str, str]
) -> Iterator[None]:
    """Run `nginx` or `caddy` at these ports, of HTTP and HTTPS, in front of these doors."""
    place.mkdir()
    command = {"nginx": _nginx, "caddy": _caddy}[program](place, ports, doors, tls)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(place)},
            preexec_fn=partial(LIBC.prctl, PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)
        print(f"--- {program}", (place / "log").read_text(errors="replace")[-4000:], sep="\n")


def _nginx(
    place: Path, ports: tuple[int, int], doors: Sequence[int], tls: Mapping[str, str]
) -> list[str]:
    program = nginx.installed()
    if program is None:
        pytest.skip("needs nginx (Debian: nginx-light)")
    http, https = ports
    text = _filled(
        "nginx.conf",
        doors,
        tls,
        {
            "listen 80;": f"listen 127.0.0.1:{http};",
            "listen 443 ": f"listen 127.0.0.1:{https} ",
            "    listen [::]:80;\n": "",
            "    listen [::]:443 ssl http2;\n": "",
        },
    )
    (place / "bazar.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""  # else the worker can't enter our directory
    (place / "nginx.conf").write_text(NGINX.format(user=user, place=place))
    return [program, "-e", "stderr", "-p", str(place), "-c", str(place / "nginx.conf")]


def _caddy(
    place: Path, ports: tuple[int, int], doors: Sequence[int], tls: Mapping[str, str]
) -> list[str]:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("needs caddy")
    http, https = ports
    text = _filled("Caddyfile", doors, tls, {})
    (place / "Caddyfile").write_text(CADDY.format(http=http, https=https) + text)
    return [program, "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]


def _filled(
    name: str, doors: Sequence[int], tls: Mapping[str, str], more: Mapping[str, str]
) -> str:
    """Return the file with what is a test's own; all else stays as it is."""
    text = (FILES / name).read_text()
    one, other = doors
    changes = {
        **more,
        "/etc/ssl/shop.example/fullchain.pem": tls["cert"],
        "/etc/ssl/shop.example/privkey.pem": tls["key"],
        "shop.example": NAME,
        "127.0.0.1:8001": f"127.0.0.1:{one}",
        "127.0.0.1:8005": f"127.0.0.1:{other}",
    }
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    return text
