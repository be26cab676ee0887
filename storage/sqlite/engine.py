"""One replica's engine on this machine: its SQLite file, and the arbiter of its group beside it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Generic, TypeVar

from bazar.config import Config, NodeConfig
from bazar.errors import ConfigError, FatalError
from bazar.replication.file_arbiter import FileArbiter, lock_exclusively
from bazar.replication.part import Wiring
from bazar.replication.replica import Replica
from storage.sqlite.database import Database
from storage.sqlite.errors import Damaged
from storage.sqlite.files import set_aside
from storage.sqlite.founding import why_not_begin
from storage.sqlite.integrity import find_damage, refuse_foreign_wal
from storage.sqlite.model import Model
from storage.sqlite.notes import refuse_moved
from storage.sqlite.replicated_store import ReplicatedStore
from storage.sqlite.wal import refuse_copy, rewrite_wal

log = logging.getLogger(__name__)

DERIVE_S = 1.0  # that a start spends on the index of words; `check` makes the rest
CHECK_S = 5.0  # that a start waits for the check of its file; `check` waits for the rest

R = TypeVar("R")


class SQLiteEngine(Generic[R]):
    """The `Engine` of a group whose nodes share one machine."""

    store: ReplicatedStore
    reader: R

    def __init__(
        self,
        config: Config,
        node: NodeConfig,
        model: Model,
        reader: Callable[[Database], R],
        derived: str | None = None,
        has_led: bool = False,
    ) -> None:
        """`derived` is the role whose group keeps what follows from this group's log. `has_led`
        says that this group had a primary, and is not to begin anew; it may if all of it follows
        from another group's log."""
        self._config = config
        self._derived = derived
        self._has_led = has_led
        self.arbiter = FileArbiter(config.data_dir, node.role)
        self._node = node
        self._model = model
        self._reader = reader
        self._path = config.data_dir / f"{node.name}.db"
        self._lock_path = config.data_dir / f"{node.name}.pid"
        self._log_entries = config.replication.log_entries

    async def open(self) -> bool:
        """Lock the node's file for this process, and open it. Return whether it is known to be
        whole, with all that is derived from its rows; else `check` must be awaited. Raises
        ConfigError, Damaged or FatalError."""
        self._alone = lock_exclusively(self._lock_path)
        refuse_moved(self._config.data_dir)
        refuse_copy(self._path)
        refuse_foreign_wal(self._path)
        await asyncio.to_thread(rewrite_wal, self._path)
        self._checking = asyncio.create_task(
            asyncio.to_thread(find_damage, self._path, self._model)
        )
        await asyncio.wait([self._checking], timeout=CHECK_S)
        checked = self._checking.done()
        if checked and (found := self._checking.result()) is not None:
            self._set_aside(found)
        try:
            self.store = await ReplicatedStore.open(
                self._path, self._model, self._log_entries, DERIVE_S
            )
        except Damaged as error:
            self._set_aside(str(error))
            raise
        self.reader = self._reader(self.store.database)
        return checked and self.store.derived

    async def check(self) -> None:
        """Return once the file is known to be whole, with all that is derived from its rows. Raises
        FatalError where it is not whole: it is moved away then."""
        found = await self._checking
        if found is not None:
            self._set_aside(found)
            raise FatalError(f"{self._node.name} starts again, empty")
        if not self.store.derived:
            log.info("%s: rebuilds its index of words", self._node.name)
            await self.store.derive()

    def _set_aside(self, found: str) -> None:
        """Move the damaged file away: without it this node is no member, and its primary fills it
        again (J3). Raises ConfigError where that would begin a new shop."""
        if self.arbiter.read() is None:
            raise ConfigError(
                f"{self._path}: is damaged ({found}), and its group's membership is missing: put"
                f" {self._node.role}.members back, or make it anew from other nodes' files: python"
                f" -m bazar rebuild {self._node.role}"
            )
        log.error(
            "%s: is damaged: %s. It is kept as %s; %s starts empty and fills itself from its"
            " primary",
            *(self._path, found, set_aside(self._path), self._node.name),
        )

    def part(self, wiring: Wiring) -> Replica:
        """Return this node's replica."""
        replica = Replica(wiring, self.store, self.arbiter, founding=self.founding)
        if (why := replica.candidate.hopeless()) is not None:
            log.critical("%s: %s", self._node.name, why)
        return replica

    async def founding(self) -> None:
        """Return if a group may begin here, with an empty log (T0). Raises ConfigError."""
        role, data_dir = self._node.role, self._config.data_dir
        if self._has_led and self._derived is not None:
            raise ConfigError(
                f"{data_dir}: all files of the {role} group were deleted, or moved away, while the"
                " shop ran. Stop it, put them back, and start it; or begin anew: python -m bazar"
                f" found {role}"
            )
        found = await asyncio.to_thread(why_not_begin, self._config, role, self._derived)
        if found is not None:
            raise ConfigError(found)
        log.info("%s: begins a new %s group: there is none in %s", self._node.name, role, data_dir)

    async def close(self) -> None:
        """Close the file, and unlock it."""
        await self.store.close()
        os.close(self._alone)
