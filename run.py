"""Serve Bazar: one node, the first node of each named role, or the whole cluster.

python run.py                                  # every node of this machine, supervised
python run.py --nodes catalog-1,order-1        # these, supervised
python run.py --empty                          # a new shop, without the samples
python run.py --role catalog --port 8003       # one node
python run.py --role frontend,catalog,order    # the first node of each, in one process
"""

from __future__ import annotations

import gc
import signal

if __name__ == "__main__":
    gc.disable()  # until it serves: what follows leaves no garbage, and takes a while to import
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # So Ctrl-C ends it quietly before it serves, too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bazar.cluster_file import default_config, load
from bazar.config import Config, NodeConfig
from bazar.errors import BadRequest, Busy, ConfigError, FatalError, NeedsRepair
from bazar.http import descriptors
from bazar.modes import make_private
from bazar.node import log_format
from bazar.node.data_directory import prepare_data_dir
from bazar.node.log_writer import Outlet, OutletHandler
from bazar.node.machines import here, refuse_open_doors, refuse_wrong_names
from bazar.node.parent import die_with_parent, group_has_led
from bazar.node.token import durable_tokens
from bazar.node.workers import placed
from bazar.replication.file_arbiter import refuse_network_file_system
from handlers import ROLES

HERE = Path(__file__).resolve().parent
FATAL = 3
NEEDS_REPAIR = os.EX_CONFIG  # no restart can help
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve. Return 0 after an orderly stop, 3 if a node had to give up, 78 if an operator has to
    put something right first."""
    # With its width, which a parser that is made asks the terminal for: only that needs `shutil`.
    formatter = functools.partial(argparse.HelpFormatter, width=100)
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__.split("\n")[0], formatter_class=formatter
    )
    add_flags(parser)
    flags = parser.parse_args(arguments)
    try:
        return serve_by(flags)
    except BadRequest as error:
        parser.error(str(error))


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", help=f"one or more of {', '.join(ROLES)}, with commas")
    parser.add_argument("--port", type=int, help="which node of the role (with one role)")
    parser.add_argument("--nodes", help="the nodes of this machine, with commas (default: by host)")
    parser.add_argument("--config", type=Path, default=default_config(), help="who runs where")
    parser.add_argument("--empty", action="store_true", help="begin a new shop without the samples")
    log_format.add_flags(parser)


def serve_by(flags: argparse.Namespace) -> int:
    """Serve what these flags say; return the exit code. Raises BadRequest."""
    if flags.port is not None and (flags.role is None or "," in flags.role):
        raise BadRequest("--port goes with a single --role")
    log_format.check(flags)
    instead = functools.partial(log_format.dropped, flags.log_format)
    lines = OutletHandler(Outlet(sys.stderr.fileno(), dropped=instead))
    lines.setFormatter(log_format.formatter(flags.log_format, "supervisor"))
    logging.basicConfig(level=flags.log_level.upper(), handlers=[lines])
    try:
        make_private()
        config = load(flags.config, ROLES)
        refuse_open_doors(config)
        names = None if flags.nodes is None else [name.strip() for name in flags.nodes.split(",")]
        descriptors.raise_limit()
        refuse_network_file_system(config.data_dir)
        prepare_data_dir(config)
        tokens = durable_tokens(config)
        if flags.role is None:
            return asyncio.run(_supervise(config, flags, tokens[0], names))
        nodes = _nodes(config, flags.role, flags.port, names)
        refuse_wrong_names(nodes)
        places = [placed(node) for node in nodes]
        own = ",".join(me.name for me, _ in places)
        lines.setFormatter(log_format.formatter(flags.log_format, own))
        with asyncio.Runner(loop_factory=_fast_loop()) as runner:
            return runner.run(_serve(config, places, tokens, empty=flags.empty))
    except (ConfigError, FatalError) as error:
        if flags.log_format == "json":
            logging.getLogger("bazar").critical("%s", error)
        lines.flush()
        if flags.log_format == "text":
            with contextlib.suppress(OSError):  # its terminal is closed
                print(f"run.py: {error}", file=sys.stderr)
        return _status(error)


def _nodes(
    config: Config, roles: str, port: int | None, names: Sequence[str] | None
) -> list[NodeConfig]:
    """Return a node of each role: where there are others on the same port, the one that is here."""
    wanted = [role.strip() for role in roles.split(",")]
    for role in wanted:
        if role not in ROLES:
            raise ConfigError(f"--role {role}: is none of {', '.join(ROLES)}")
    among = None if names is None else here(config, names)
    return [config.find(role, port, among) for role in ROLES if role in wanted]


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop factory, if installed: the loop is most of a cached read's cost."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(
    config: Config,
    places: Sequence[tuple[NodeConfig, Sequence[NodeConfig]]],
    tokens: Sequence[str],
    *,
    empty: bool,
) -> int:
    """Serve these nodes, each with the other processes of its front end."""
    # Here, as the supervisor does without: it starts the nodes the sooner.
    from bazar.node.server import Context, Server, serve
    from handlers.base import NoRoute

    die_with_parent()
    shutdown = _on_signals()
    servers = []
    connections = descriptors.for_connections(len(places))
    for me, siblings in places:
        context = Context(
            *(config, me, tokens[0], _give_up, tuple(siblings), group_has_led(), empty),
            other_tokens=tuple(tokens[1:]),
        )
        servers.append(Server(ROLES[me.role](context), NoRoute, connections=connections))
    _collect_garbage()
    try:
        await serve(servers, shutdown)
    except (FatalError, TimeoutError) as error:
        # Threads that wait for a disk would keep the process, and its locks, alive.
        _give_up(error)
    return 0


async def _supervise(
    config: Config, flags: argparse.Namespace, token: str, names: Sequence[str] | None
) -> int:
    from bazar.node.supervisor import LOOK_AGAIN, Supervisor

    async def tell_when_open() -> str:
        # Here: what asks the nodes is imported while they start, and not before.
        from bazar.node.opening import opened
        from bazar.node.service_manager import tell

        lines = await opened(config, here(config, names), token, empty=flags.empty)
        tell("READY=1")
        return lines

    command = [sys.executable, str(HERE / "run.py"), "--config", str(flags.config)]
    command += ["--log-format", flags.log_format, "--log-level", flags.log_level]
    command += ["--empty"] if flags.empty else []
    refuse_wrong_names(here(config, names))
    supervisor = Supervisor(
        config,
        command,
        never_again=NEEDS_REPAIR,
        first=("frontend", "catalog"),  # which show books to visitors
        stop_order=tuple(ROLES),
        reload=lambda: load(flags.config, ROLES),
        here=lambda config: here(config, names),
        opened=tell_when_open,
        say=Outlet(sys.stdout.fileno()),
    )
    _collect_garbage()
    asyncio.get_running_loop().add_signal_handler(LOOK_AGAIN, supervisor.look_again)
    return await supervisor.run(_on_signals())


def _collect_garbage() -> None:
    """Do so from now on, but for what is there already: that stays, and need not be looked at."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # hardly anything has circles: to look for them is the cost
    gc.enable()


def _on_signals() -> asyncio.Event:
    """Return an event that is set when the process is to stop.

    It does not use the loop's own handlers: a parent that dies sends one signal per thread, and a
    second one could find the loop's pipe closed, and leave a traceback.
    """
    shutdown, loop = asyncio.Event(), asyncio.get_running_loop()

    def hear(*_: object) -> None:
        # Ignore further signals: they would only take time from the orderly stop.
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        if not loop.is_closed():
            loop.call_soon_threadsafe(shutdown.set)

    for number in STOPPING:
        # nohup has a signal ignored, so that the process survives its terminal: leave it so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, hear)
    return shutdown


def _give_up(error: BaseException) -> None:
    """Leave at once and free every lock: the node can't go on without breaking a promise."""
    reason = str(error) or "could not stop in order in time"
    logging.getLogger("bazar").critical("%s", reason)
    logging.shutdown()
    os._exit(_status(error))


def _status(error: BaseException) -> int:
    lasts = isinstance(error, ConfigError | NeedsRepair) and not isinstance(error, Busy)
    return NEEDS_REPAIR if lasts else FATAL


if __name__ == "__main__":
    sys.exit(main())
