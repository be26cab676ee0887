"""Load by `wrk`, where it is installed: one thread of C is fast enough for any server here."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bazar.bench.http_client import HOST
from bazar.bench.quantiles import FRACTIONS

SPARE_S = 20.0
MARK = "BAZAR "

# The script walks through the paths only if there are several: with one path wrk itself repeats the
# request, at no cost.
SCRIPT = """
wrk.method = "GET"
wrk.headers = {%(headers)s}
local paths = {%(paths)s}
local fractions = {%(fractions)s}
if #paths > 1 then
  local requests, at = {}, 0
  function init(args)
    for i = 1, #paths do requests[i] = wrk.format(nil, paths[i]) end
  end
  function request()
    at = at %% #requests + 1
    return requests[at]
  end
end
function done(summary, latency, requests)
  local e, parts = summary.errors, {}
  for i = 1, #fractions do
    parts[i] = string.format('"%%s": %%f', fractions[i], latency:percentile(fractions[i] * 100))
  end
  io.write(string.format(
    '\\n%(mark)s{"requests": %%d, "us": %%d, "refused": %%d, ' ..
      '"errors": %%d, "latency_us": {%%s}}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    table.concat(parts, ", ")))
end
"""


def installed() -> str | None:
    """Return the path of wrk, or None."""
    return shutil.which("wrk")


def script(paths: Sequence[str], headers: Mapping[str, str]) -> str:
    pairs = ", ".join(f"[{_quoted(name)}] = {_quoted(value)}" for name, value in headers.items())
    return SCRIPT % {
        "headers": pairs,
        "paths": ", ".join(map(_quoted, paths)),
        "fractions": ", ".join(map(str, FRACTIONS)),
        "mark": MARK,
    }


def _quoted(text: str) -> str:
    return json.dumps(text)  # plain ASCII: Lua reads it as JSON does


def run(
    program: str,
    port: int,
    paths: Sequence[str],
    headers: Mapping[str, str],
    connections: int,
    seconds: float,
) -> dict[str, Any]:
    """Run wrk, and return what the script's `done` writes. wrk takes whole seconds only."""
    whole_s = max(math.ceil(seconds), 1)
    with tempfile.TemporaryDirectory(prefix="bazar-wrk-") as directory:
        path = Path(directory) / "load.lua"
        path.write_text(script(paths, headers), "ascii")
        command = [program, "-t1", f"-c{connections}", f"-d{whole_s}s", "-s", str(path)]
        shown = subprocess.run(
            [*command, f"http://{HOST}:{port}{paths[0]}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=whole_s + SPARE_S,
        )
    [line] = [line for line in shown.stdout.split("\n") if line.startswith(MARK)]
    told: dict[str, Any] = json.loads(line.removeprefix(MARK))
    return told
