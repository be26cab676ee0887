"""A network of this process's own: a bridge, and what a cable or a filter does to a machine on it.

    enter()                     # from here on this process sees no other network
    network = Network()
    network.plug(1, pid)        # the namespace of that process gets an address
    network.cut(1, pid, Cut(output=(to(2),)))
    network.heal(pid)

Nothing of it is visible outside, or can reach anything there: the bridge and its addresses are in a
namespace that ends with the last process in it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from dataclasses import dataclass

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
BRIDGE = "machines"
BITS = 24
COMMAND_S = 10.0


def address(number: int) -> str:
    """Return a machine's address; 254 is ours, where the customers are."""
    return f"10.83.0.{number}"


OURS = 254


@dataclass(frozen=True, slots=True)
class Cut:
    """What a machine's filter drops, silently: conditions of nftables, for packets that come in and
    that go out."""

    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()

    def __add__(self, other: Cut) -> Cut:
        return Cut(self.input + other.input, self.output + other.output)


def to(*numbers: int) -> str:
    """Packets to these machines."""
    return f"ip daddr {{ {', '.join(map(address, numbers))} }}"


def from_(*numbers: int) -> str:
    """Packets of these machines."""
    return f"ip saddr {{ {', '.join(map(address, numbers))} }}"


def enter() -> None:
    """Leave the network that this process is in for an empty one. Call it before any thread is
    started. Raises OSError where that is not allowed."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no network namespace: {os.strerror(number)}")
    command("ip", "link", "set", "lo", "up")


def command(*words: str, text: str = "") -> None:
    """Run a program to its end. Raises AssertionError with what it said if it fails."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=COMMAND_S)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{text}"


def inside(pid: int, *words: str, text: str = "") -> None:
    """Run a program in the network of another process."""
    command("nsenter", "--net", "--target", str(pid), *words, text=text)


class Network:
    """The bridge. Machines are numbered from 1."""

    def __init__(self) -> None:
        command("ip", "link", "add", BRIDGE, "type", "bridge")
        command("ip", "addr", "add", f"{address(OURS)}/{BITS}", "dev", BRIDGE)
        command("ip", "link", "set", BRIDGE, "up")

    def plug(self, number: int, pid: int) -> None:
        """Connect the namespace of process `pid`. A machine has the same hardware address each
        time, so that the others find it."""
        ours, theirs = f"port{number}", f"02:00:00:00:00:{number:02x}"
        command(
            *("ip", "link", "add", ours, "type", "veth"),
            *("peer", "name", "eth0", "address", theirs, "netns", str(pid)),
        )
        command("ip", "link", "set", ours, "master", BRIDGE, "up")
        inside(pid, "ip", "link", "set", "lo", "up")
        inside(pid, "ip", "addr", "add", f"{address(number)}/{BITS}", "dev", "eth0")
        inside(pid, "ip", "link", "set", "eth0", "up")

    def unplug(self, number: int) -> None:
        """Take the cable out: the machine's last words reach nobody."""
        command("ip", "link", "set", f"port{number}", "down")

    def remove(self, number: int) -> None:
        """Forget a machine that is off. The kernel does so too, but when it has time."""
        subprocess.run(("ip", "link", "delete", f"port{number}"), capture_output=True, check=False)

    def cut(self, pid: int, cut: Cut) -> None:
        """Drop what the cut says, and nothing else, at the namespace of process `pid`."""
        chains = [
            f"chain {hook} {{ type filter hook {hook} priority 0;"
            + "".join(f" {condition} drop;" for condition in conditions)
            + " }"
            for hook, conditions in (("input", cut.input), ("output", cut.output))
        ]
        text = "flush ruleset\ntable ip cut {\n" + "\n".join(chains) + "\n}\n"
        inside(pid, "nft", "-f", "-", text=text)

    def heal(self, pid: int) -> None:
        """Drop nothing any more."""
        inside(pid, "nft", "flush", "ruleset")
