"""A node's way to the primaryship of a group over one database (P3, P7)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf

from bazar.errors import FatalError, Unavailable
from bazar.replication.messages import Mark
from bazar.replication.shared.database import Beat, Database, Word
from bazar.replication.shared.hold import Hold, Tempo, Watch

log = logging.getLogger(__name__)

ABSTAIN_LEASES = 2  # for which who has handed over lets others take it (P7)


@dataclass(frozen=True, slots=True)
class Won:
    """A take-over that is confirmed: the epoch, the mark that it begins behind, how long it is held
    for now, and whether all that is derived from the rows is made."""

    epoch: int
    mark: Mark
    hold: Hold
    derived: bool


class Candidate:
    """One node that may lead. `grace_s` is how long subscribers may need to find a primary."""

    def __init__(
        self,
        node: str,
        run: str,
        database: Database,
        tempo: Tempo,
        grace_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.node = node
        self.trouble = "has not asked the database yet"
        """What keeps this node from going on, as far as it is known."""
        self._run = run
        self._database = database
        self._tempo = tempo
        self._grace_s = grace_s
        self._clock = clock
        self._epochs = 0  # that this run has begun, or tried to
        self._watch = Watch(tempo)
        self._abstains_until = -inf
        self._hellos: dict[str, float] = {}  # who takes this node for the primary, and since when
        self._watched, self._watched_since = "", inf  # the epoch whose beats are seen, since when

    def note(self, trouble: str) -> None:
        """Say once what keeps this node from going on."""
        if trouble != self.trouble:
            self.trouble = trouble
            log.warning("%s: %s", self.node, trouble)

    def lost(self) -> None:
        """Count anew: for a while nobody has looked."""
        self._watch.lost()

    def abstain(self) -> None:
        """Let others take the primaryship, for a while."""
        self._abstains_until = self._clock() + ABSTAIN_LEASES * self._tempo.primary_lease_s

    def heard(self, node: str) -> None:
        """Take note of a subscriber that says hello to this node, which does not lead."""
        self._hellos[node] = self._clock()

    async def try_to_lead(self, known: int, *, follows: bool) -> Won | None:
        """Look at the beat, and take the primaryship over if it may be. `known` is the newest epoch
        that this node has heard of, `follows` whether it has a primary."""
        try:
            look = await self._database.register.look()
            now = self._clock()
            if not self._watch.saw(look, now):
                await self._leave_word(look.beat, now, follows)
                return None
            won = None if now < self._abstains_until else await self._take_over(look.beat, known)
        except (Unavailable, FatalError) as error:
            self.note(str(error))
            won = None
        if won is None or self._clock() >= won.hold.until:
            self._watch.lost()
            return None
        return won

    async def _take_over(self, seen: Beat, known: int) -> Won | None:
        sent_at = -inf

        def before_commit() -> None:
            nonlocal sent_at
            sent_at = self._clock()

        self._epochs += 1
        epoch = max(seen.epoch, known) + 1
        # Never the same again, whatever becomes of this one (H1).
        epoch_id = f"{self._run}-{self._epochs}"
        over_ms = ceil(1000 * self._tempo.over_s)
        new = Beat(epoch, epoch_id, f"{epoch_id}:0", False, self.node, over_ms)
        mark = await self._database.register.take_over(seen, new, before_commit)
        if mark is None:
            return None
        await self._database.upgrade(epoch_id)
        derived = await self._database.derive(epoch_id)
        return Won(epoch, mark, Hold(self._tempo, sent_at), derived)

    async def _leave_word(self, beat: Beat, now: float, follows: bool) -> None:
        """Tell the primary by way of the database that it is out of our reach (P7), once its
        subscribers have had the time to find it."""
        if beat.epoch_id != self._watched:
            self._watched, self._watched_since = beat.epoch_id, now
        since = now - self._grace_s
        self._hellos = {node: at for node, at in self._hellos.items() if at >= since}
        if not follows and self._hellos and self._watched_since < since:
            # Those that ask us, and we ourselves.
            word = Word(self.node, beat.value, len(self._hellos) + 1)
            await self._database.register.leave_word(word)
