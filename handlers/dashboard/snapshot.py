"""What a page shows of a cluster: pure functions of its nodes' statuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bazar.config import NodeConfig
from bazar.latency_histogram import LatencyHistogram
from bazar.node.status import Status, primary_of, processes
from bazar.node.workers import whose

View = dict[str, Any]


def view(
    nodes: Mapping[str, NodeConfig],
    statuses: Mapping[str, Status | None],
    before: View | None = None,
) -> View:
    """Return all nodes, and the feeds between them. While a node does not answer, the process that
    it `runs` and the epoch that it has `led` are taken from `before`."""
    primaries = {
        role: primary_of(role, statuses) for role in {node.role for node in nodes.values()}
    }
    known = {node["name"]: node for node in before["nodes"]} if before else {}
    return {
        "nodes": [
            {**_was(known.get(node.name)), **_node(node, statuses[node.name], primaries)}
            for node in nodes.values()
        ],
        "feeds": [
            {"from": primary["node"], "to": whose(feed["node"]), **_feed(feed)}
            for primary in primaries.values()
            if primary
            for feed in primary["feeds"]
        ],
        "links": _links(statuses),
        "databases": [
            {"role": role, **server} for role in primaries for server in _servers(role, statuses)
        ],
    }


def _links(statuses: Mapping[str, Status | None]) -> list[dict[str, Any]]:
    """Return the links that one of their ends says are cut, or slow."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for process in [one for status in statuses.values() if status for one in processes(status)]:
        for link in process.get("links", ()):
            ends = tuple(sorted((whose(process["node"]), link["to"])))
            found[ends] = {"between": ends, **{n: link[n] for n in ("delay_ms", "left_s")}}
    return [found[ends] for ends in sorted(found)]


def _servers(role: str, statuses: Mapping[str, Status | None]) -> Sequence[Mapping[str, Any]]:
    """Return how the servers of a group's database stand, as one of its nodes has seen it."""
    nodes = [status for status in statuses.values() if status and status["group"] == role]
    told = [node["database"].get("standing", ()) for node in nodes if "database" in node]
    return next(filter(None, told), ())


def _was(node: Mapping[str, Any] | None) -> dict[str, Any]:
    if node is None:
        return {"runs": [], "led": None}
    return {"runs": node["runs"], "led": node["led"]}


def _feed(feed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: feed[name] for name in ("lease_s", "lag", "joined")}


def _node(
    node: NodeConfig, status: Status | None, primaries: Mapping[str, Status | None]
) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": node.name, "role": node.role, "up": status is not None}
    primary = primaries[node.role]
    if node.role != "frontend":
        shown["in_sync"] = None if primary is None else node.name in primary["members"]
    if status is None:
        return shown
    own = processes(status)
    shown["runs"] = sorted(process["run"] for process in own)
    shown["led"] = status["epoch"] if "members" in status else None
    if "sources" in status:
        sources = [source for process in own for source in process["sources"].values()]
        leases = {
            role: min(process["sources"][role]["lease_s"] for process in own)
            for role in status["sources"]
        }
        return {
            **shown,
            "leases": leases,
            "lease_s": min(leases.values()),
            "epoch": max(source["epoch"] for source in sources),
        }
    return {
        **shown,
        "primary": "members" in status,
        "waits_s": status.get("waits_s", 0),
        "leader": status["primary"],
        "epoch": status["epoch"],
        "seq": status["committed"],
        "lag": max(primary["committed"] - status["committed"], 0) if primary else None,
        "lease_s": status.get("lease_s"),
    }


def counts(statuses: Iterable[Status | None]) -> dict[str, Any]:
    """Return the counters of all front ends, summed."""
    own = [
        process
        for status in statuses
        if status is not None and "sources" in status
        for process in processes(status)
    ]
    sources = [source for process in own for source in process["sources"].values()]
    return {
        "runs": sorted(process["run"] for process in own),
        "latency": [sum(column) for column in zip(*(p["latency"] for p in own), strict=True)],
        "purchases": sum(process["purchases"] for process in own),
        **{
            name: sum(source[name] for source in sources)
            for name in ("hits", "misses", "passes", "invalidations")
        },
    }


def rates(before: Mapping[str, Any], now: Mapping[str, Any], spent_s: float) -> View | None:
    """Return what happened between two counts, per second; None if a front end came or went."""
    if before["runs"] != now["runs"] or spent_s <= 0 or not now["latency"]:
        return None
    latency = [b - a for a, b in zip(before["latency"], now["latency"], strict=True)]
    hits, misses, passes = (now[n] - before[n] for n in ("hits", "misses", "passes"))
    looked = hits + misses + passes
    shown = LatencyHistogram(counts=latency).quantiles((0.5, 0.99))
    return {
        "requests": round(sum(latency) / spent_s, 1),
        "hits": round(hits / looked, 3) if looked else None,
        "p50": shown.get(0.5),
        "p99": shown.get(0.99),
        "purchases": round((now["purchases"] - before["purchases"]) / spent_s, 2),
    }


def happenings(
    before: View, now: View, counted: Mapping[str, Any], counting: Mapping[str, Any]
) -> Sequence[dict[str, str]]:
    """Return what has changed, in words, with the rule that it followed."""
    events = []
    for old, new in zip(before["nodes"], now["nodes"], strict=True):
        events += [
            {"text": f"{new['name']} {text}", "rule": rule, "kind": kind}
            for text, rule, kind in _changes(old, new)
        ]
    events += _changed_links(before, now)
    dropped = counting["invalidations"] - counted["invalidations"]
    if dropped > 0 and counted["runs"] == counting["runs"]:
        answers = "1 cached answer" if dropped == 1 else f"{dropped} cached answers"
        events.append({"text": f"{answers} dropped by a write", "rule": "R2", "kind": "drop"})
    return events


def _changed_links(before: View, now: View) -> Iterable[dict[str, str]]:
    old, new = (
        {link["between"]: link["delay_ms"] for link in seen["links"]} for seen in (before, now)
    )
    for ends in sorted(old.keys() | new.keys()):
        link = f"the link {' – '.join(ends)}"
        if ends not in new:
            yield {"text": f"{link} is mended", "rule": "", "kind": "good"}
        elif ends not in old or old[ends] != new[ends]:
            ms = new[ends]
            how = "is cut" if ms is None else f"is slow: {ms} ms in each direction"
            yield {"text": f"{link} {how}", "rule": "", "kind": "bad" if ms is None else "drop"}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    if old["up"] and not new["up"]:
        yield "does not answer", "", "bad"
    elif set(new["runs"]) - set(old["runs"]):
        yield "was started anew", "", "good"
    elif not old["up"] and new["up"]:
        yield "answers again", "", "good"
    if new.get("primary") and old["led"] != new["led"]:
        waits = ", and lets writes wait until every older lease is over" if new["waits_s"] else ""
        yield f"is primary now, in epoch {new['epoch']}{waits}", "T1, T2", "lead"
    elif old.get("waits_s") and new.get("primary") and not new["waits_s"]:
        yield "has waited long enough: writes go on", "T3", "good"
    # While there is no primary, it is not known who is in sync: that is no change.
    if old.get("in_sync") and new.get("in_sync") is False:
        yield "is out of the in-sync set: it did not acknowledge in time", "R3", "bad"
    if old.get("in_sync") is False and new.get("in_sync"):
        yield "is in sync again", "J4", "good"
    leases = {None: (old.get("lease_s"), new.get("lease_s"))}
    if "leases" in old and "leases" in new:
        leases = {role: (old["leases"].get(role), has) for role, has in new["leases"].items()}
    for role, (had, has) in leases.items():
        of = f" from the {role} group" if role else ""
        if had and has == 0 and not new.get("primary"):
            if role:
                yield f"has lost its lease{of}: it caches nothing of theirs", "C4", "bad"
            else:
                yield "has lost its lease: it answers no read by itself", "L2", "bad"
        if had == 0 and has:
            yield f"holds its lease{of} again", "L1", "good"
