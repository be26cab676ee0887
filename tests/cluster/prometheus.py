"""A real Prometheus that looks at a shop, as docs/monitoring has it look, but more often."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from tests.cluster import ports
from tests.cluster.client import Answer, HTTPClient
from tests.cluster.cluster import LIBC, PR_SET_PDEATHSIG, ROOT, until

MONITORING = ROOT / "docs" / "monitoring"
EVERY = "250ms"


def impossible() -> str | None:
    """Say why there is none here, if so."""
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    return f"needs {', '.join(missing)} (apt-get install prometheus)" if missing else None


class Prometheus:
    """One on a free port of this machine, over its own directory. It asks these ports for figures.
    No alert waits: what holds once, fires."""

    def __init__(self, directory: Path, metrics_ports: list[int]) -> None:
        directory.mkdir()
        self.directory = directory
        [self._held] = ports.hold(1)
        self.port = ports.number(self._held)
        settings = (MONITORING / "prometheus.yml").read_text()
        settings = settings.replace("interval: 15s", f"interval: {EVERY}")
        named = re.findall(r"127\.0\.0\.1:(\d+)", settings)
        assert len(named) == len(metrics_ports)
        for shown, port in zip(named, metrics_ports, strict=True):
            settings = settings.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{port}")
        (directory / "prometheus.yml").write_text(settings)
        rules = (MONITORING / "alerts.yml").read_text()
        (directory / "alerts.yml").write_text(re.sub(r"for: \d+[ms]\n", "for: 0s\n", rules))

    async def __aenter__(self) -> Prometheus:
        with (self.directory / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220
                [
                    "prometheus",
                    f"--config.file={self.directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=partial(LIBC.prctl, PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        await until(self._answers, "Prometheus answers")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._held.close()
        if error is not None:
            print((self.directory / "prometheus.log").read_text()[-4000:])

    async def _answers(self) -> bool:
        assert self._process.poll() is None, (self.directory / "prometheus.log").read_text()
        try:
            answer = await self._get("/-/ready")
        except OSError:
            return False
        return answer.status == 200

    async def _get(self, path: str) -> Answer:
        async with HTTPClient(self.port) as client:
            return await client.get(path)

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what it knows of that now."""
        answer = await self._get(f"/api/v1/query?query={quote(expression)}")
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.json["data"]["result"]
        return found

    async def firing(self) -> dict[str, list[dict[str, str]]]:
        """Return the labels of each alert that fires, by its name."""
        alerts = (await self._get("/api/v1/alerts")).json["data"]["alerts"]
        found: dict[str, list[dict[str, str]]] = {}
        for one in alerts:
            if one["state"] == "firing":
                found.setdefault(one["labels"]["alertname"], []).append(one["labels"])
        return found
