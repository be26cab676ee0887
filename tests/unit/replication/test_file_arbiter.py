"""Who is primary: real files, real locks, and a second process."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

from bazar.durable import atomic_write
from bazar.errors import ConfigError, FatalError, Unavailable
from bazar.replication import file_arbiter
from bazar.replication.file_arbiter import (
    FileArbiter,
    lock_exclusively,
    lock_owner,
    locked_by,
    refuse_network_file_system,
)
from bazar.replication.messages import Member, Membership
from tests.files import FilesTestCase

HERE = Path(__file__).resolve().parents[3]
HOLDER = """
import sys, pathlib
from bazar.replication.file_arbiter import FileArbiter, lock_exclusively
directory = pathlib.Path(sys.argv[1])
print(FileArbiter(directory, "catalog").try_acquire(), flush=True)
lock_exclusively(directory / "catalog-1.pid")
print("alone", flush=True)
sys.stdin.read()
"""


def membership(epoch: int, *nodes: str, clean: bool = False) -> Membership:
    members = frozenset(Member(node, f"store-of-{node}") for node in nodes)
    return Membership(epoch, members, 1.5, clean)


class ArbiterTest(FilesTestCase):
    def arbiter(self) -> FileArbiter:
        arbiter = FileArbiter(self.directory, "catalog")
        self.addCleanup(arbiter.release)
        return arbiter

    async def test_what_is_recorded_is_read_by_the_next(self) -> None:
        arbiter = self.arbiter()
        self.assertIsNone(arbiter.read())
        self.assertTrue(arbiter.try_acquire())
        for recorded in (membership(1, "a"), membership(1, "a", "b"), membership(2, clean=True)):
            await arbiter.record(recorded)
            self.assertEqual(self.arbiter().read(), recorded)
        names = sorted(path.name for path in self.directory.iterdir())
        self.assertEqual(names, ["catalog.lock", "catalog.members"])

    async def test_one_at_a_time(self) -> None:
        first, second = self.arbiter(), self.arbiter()
        self.assertTrue(first.try_acquire())
        self.assertFalse(second.try_acquire())
        first.release()
        self.assertTrue(second.try_acquire())
        self.assertFalse(first.try_acquire())

    async def test_one_that_waited_for_a_lock_that_is_gone_gets_the_new_one(self) -> None:
        holder, waits = self.arbiter(), self.arbiter()
        self.assertTrue(holder.try_acquire())
        self.assertFalse(waits.try_acquire())
        (self.directory / "catalog.lock").unlink()
        holder.release()
        self.assertFalse(waits.try_acquire())  # it has the file open that nobody finds any more
        self.assertTrue(waits.try_acquire())

    async def test_groups_do_not_disturb_each_other(self) -> None:
        self.assertTrue(self.arbiter().try_acquire())
        orders = FileArbiter(self.directory, "order")
        self.addCleanup(orders.release)
        self.assertTrue(orders.try_acquire())

    async def test_only_the_holder_records(self) -> None:
        arbiter = self.arbiter()
        with self.assertRaises(FatalError):
            await arbiter.record(membership(1, "a"))
        self.assertIsNone(arbiter.read())

    async def test_one_that_did_not_get_the_lock_does_not_lead(self) -> None:
        holder, waits = self.arbiter(), self.arbiter()
        self.assertTrue(holder.try_acquire())
        await holder.record(membership(1, "a"))
        self.assertFalse(waits.try_acquire())  # it has the file open
        waits.read()
        with self.assertRaisesRegex(FatalError, "is not the file this primary has locked"):
            waits.check(1)
        with self.assertRaisesRegex(FatalError, "is not the file this primary has locked"):
            await waits.record(membership(2, "b"))
        self.assertEqual(holder.read(), membership(1, "a"))

    async def test_one_that_let_go_of_the_lock_does_not_lead(self) -> None:
        before, holder = self.arbiter(), self.arbiter()
        self.assertTrue(before.try_acquire())
        before.release()
        self.assertTrue(holder.try_acquire())
        self.assertFalse(before.try_acquire())  # it has the file open
        with self.assertRaisesRegex(FatalError, "is not the file this primary has locked"):
            await before.record(membership(1, "a"))

    async def test_an_older_epoch_is_not_recorded_over_a_newer(self) -> None:
        arbiter = self.arbiter()
        arbiter.try_acquire()
        await arbiter.record(membership(5, "a"))
        with self.assertRaisesRegex(FatalError, "epoch 5 has begun"):
            await arbiter.record(membership(4, "a"))
        self.assertEqual(arbiter.read(), membership(5, "a"))

    async def test_the_record_of_a_later_primary_is_not_replaced(self) -> None:
        arbiter, members = self.arbiter(), self.directory / "catalog.members"
        arbiter.try_acquire()
        await arbiter.record(membership(1, "a"))
        later = members.read_bytes().replace(b'"epoch": 1', b'"epoch": 2')
        members.write_bytes(later)
        with self.assertRaisesRegex(FatalError, "epoch 2 has begun"):
            await arbiter.record(membership(1, "a", "b"))
        self.assertEqual(members.read_bytes(), later)

    async def test_what_is_recorded_while_one_makes_it_anew_stays(self) -> None:
        """Others may have made it anew, or begun an epoch, since it was found to be gone."""
        arbiter, members = self.arbiter(), self.directory / "catalog.members"
        arbiter.try_acquire()
        await arbiter.record(membership(1, "a"))
        known = members.read_bytes()
        lock = fcntl.flock

        def lock_late(fd: int, operation: int) -> None:
            self.directory.joinpath("new").write_bytes(recorded)
            self.directory.joinpath("new").rename(members)
            self.file = members.stat().st_ino
            lock(fd, operation)

        for recorded in (known, known.replace(b'"epoch": 1', b'"epoch": 2')):
            members.unlink()
            with mock.patch.object(fcntl, "flock", lock_late):
                arbiter.check(1)
            self.assertEqual(members.read_bytes(), recorded)
            self.assertEqual(members.stat().st_ino, self.file)
        with self.assertRaisesRegex(FatalError, "no longer says epoch 1"):
            arbiter.check(1)

    async def test_check_wants_the_lock_and_the_epoch(self) -> None:
        arbiter = self.arbiter()
        arbiter.try_acquire()
        with self.assertRaises(FatalError):
            arbiter.check(1)
        await arbiter.record(membership(1, "a"))
        arbiter.check(1)
        atomic_write(
            self.directory / "catalog.members",
            (self.directory / "catalog.members").read_bytes().replace(b'"epoch": 1', b'"epoch": 2'),
        )
        with self.assertRaisesRegex(FatalError, "no longer says epoch 1"):
            arbiter.check(1)

    async def test_a_membership_that_is_deleted_is_made_anew_by_who_holds_the_lock(self) -> None:
        arbiter, members = self.arbiter(), self.directory / "catalog.members"
        arbiter.try_acquire()
        await arbiter.record(membership(1, "a", "b"))
        members.unlink()
        arbiter.check(1)
        self.assertEqual(arbiter.read(), membership(1, "a", "b"))
        members.unlink()
        await arbiter.record(membership(1, "a"))
        self.assertEqual(arbiter.read(), membership(1, "a"))
        members.unlink()
        with self.assertRaisesRegex(FatalError, "no longer says epoch 2"):
            arbiter.check(2)
        (self.directory / "catalog.lock").unlink()
        with self.assertRaisesRegex(FatalError, "is not the file this primary has locked"):
            arbiter.check(1)
        self.assertFalse(members.exists())

    async def test_a_membership_that_is_put_back_is_made_anew_by_who_holds_the_lock(self) -> None:
        arbiter, members = self.arbiter(), self.directory / "catalog.members"
        arbiter.try_acquire()
        await arbiter.record(membership(1, "b"))
        before = members.read_bytes()
        await arbiter.record(membership(2, "a", "b"))
        grown = members.read_bytes()
        await arbiter.record(membership(2, "a"))
        for older in (before, grown, b"damaged", b""):
            with self.subTest(older):
                members.write_bytes(older)
                arbiter.check(2)
                self.assertEqual(arbiter.read(), membership(2, "a"))
                members.write_bytes(older)
                await arbiter.record(membership(2, "a"))
                self.assertEqual(self.arbiter().read(), membership(2, "a"))
                # Who begins an epoch takes nothing for put back that it has not recorded.
                members.write_bytes(older)
                with self.assertRaises(FatalError):
                    await arbiter.record(membership(3, "a"))
                arbiter.check(2)

    async def test_a_lock_file_made_anew_has_one_owner(self) -> None:
        old, new = self.arbiter(), self.arbiter()
        self.assertTrue(old.try_acquire())
        await old.record(membership(1, "a"))
        (self.directory / "catalog.lock").unlink()
        with self.assertRaises(FatalError):
            old.check(1)
        self.assertTrue(new.try_acquire())
        with self.assertRaises(FatalError):
            await old.record(membership(1, "b"))
        new.check(1)

    async def test_a_lock_file_replaced_while_it_is_locked_is_not_taken(self) -> None:
        path = self.directory / "catalog.lock"
        lock = fcntl.flock

        def lock_too_late(fd: int, operation: int) -> None:
            path.rename(self.directory / "old.lock")  # opened, not yet locked
            path.touch()
            lock(fd, operation)

        with mock.patch.object(fcntl, "flock", lock_too_late):
            self.assertFalse(self.arbiter().try_acquire())
        self.assertTrue(self.arbiter().try_acquire())

    async def test_what_another_process_is_about_to_record_is_waited_for(self) -> None:
        arbiter, members = self.arbiter(), self.directory / "catalog.members"
        arbiter.try_acquire()
        await arbiter.record(membership(1, "a"))
        members.unlink()
        other = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX)
            arbiter.check(1)
            self.assertFalse(arbiter._exchange(membership(1, "a", "b")))
            self.assertFalse(members.exists())
        finally:
            os.close(other)
        await arbiter.record(membership(1, "a", "b"))
        self.assertEqual(arbiter.read(), membership(1, "a", "b"))

    async def test_a_directory_that_is_gone_is_named(self) -> None:
        gone = FileArbiter(self.directory / "gone", "catalog")
        with self.assertRaisesRegex(FatalError, "gone: No such file or directory"):
            _ = gone.id

    async def test_an_unreadable_membership_is_fatal(self) -> None:
        for content in (b"", b"{", b"[]", b'{"epoch": 1}', b"\xff", b"null", b"7"):
            (self.directory / "catalog.members").write_bytes(content)
            with self.subTest(content), self.assertRaises(FatalError):
                self.arbiter().read()

    def test_the_kernel_lets_go_when_another_process_dies(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.directory)],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout is not None
            self.assertEqual(holder.stdout.readline(), "True\n")
            self.assertEqual(holder.stdout.readline(), "alone\n")
            arbiter = self.arbiter()
            self.assertFalse(arbiter.try_acquire())
            listed = holder.pid if file_arbiter.LOCKS.exists() else None
            self.assertEqual(arbiter.lock_owner(), listed)
            with self.assertRaisesRegex(ConfigError, f"runs already \\(process {holder.pid}\\)"):
                lock_exclusively(self.directory / "catalog-1.pid")
            holder.send_signal(signal.SIGSTOP)
            self.assertFalse(arbiter.try_acquire())  # paused is not dead
            holder.kill()
            holder.wait()
        self.assertTrue(arbiter.try_acquire())
        os.close(lock_exclusively(self.directory / "catalog-1.pid"))

    def test_the_lock_is_not_inherited_by_a_program_that_is_started(self) -> None:
        arbiter = self.arbiter()
        arbiter.try_acquire()
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            arbiter.release()
            self.assertTrue(self.arbiter().try_acquire())
            child.communicate()


class FilesTest(FilesTestCase):
    def test_one_process_a_node(self) -> None:
        path = self.directory / "catalog-1.pid"
        held = lock_exclusively(path)
        self.assertEqual(path.read_text(), f"{os.getpid()}\n")
        if file_arbiter.LOCKS.exists():
            path.write_text("7\n")  # whatever is noted there, the kernel knows better
            with self.assertRaisesRegex(ConfigError, rf"already \(process {os.getpid()}\)"):
                lock_exclusively(path)
            path.write_text(f"{os.getpid()}\n")
        for locks in (file_arbiter.LOCKS, self.directory / "nothing"):  # some systems have no list
            with (
                mock.patch.object(file_arbiter, "LOCKS", locks),
                self.assertRaisesRegex(ConfigError, rf"already \(process {os.getpid()}\)"),
            ):
                lock_exclusively(path)
        self.assertEqual(lock_owner(path), os.getpid())
        path.write_text("")  # its owner has just opened it, and notes itself in a moment
        with (
            mock.patch.object(file_arbiter, "LOCKS", self.directory / "nothing"),
            self.assertRaisesRegex(ConfigError, r"already \(process another\)"),
        ):
            lock_exclusively(path)
        os.close(held)
        os.close(lock_exclusively(path))

    def test_who_does_not_get_the_lock_keeps_no_file_open(self) -> None:
        path = self.directory / "catalog-1.pid"
        held = lock_exclusively(path)
        self.addCleanup(os.close, held)
        free = os.dup(held)  # the lowest number that is free
        os.close(free)
        with self.assertRaises(ConfigError):
            lock_exclusively(path)
        again = os.dup(held)
        os.close(again)
        self.assertEqual(again, free)

    def test_what_is_noted_in_a_file_counts_where_there_is_no_list_of_locks(self) -> None:
        path = self.directory / "catalog-1.pid"
        path.write_text("1234\n")
        with mock.patch.object(file_arbiter, "LOCKS", self.directory / "nothing"):
            self.assertEqual(lock_owner(path), 1234)
            self.assertIsNone(locked_by(path))
            path.write_text("")
            with self.assertRaisesRegex(Unavailable, "catalog-1 does not run"):
                lock_owner(path)

    def test_the_list_of_locks_says_whether_who_is_noted_runs(self) -> None:
        path, locks = self.directory / "catalog-1.pid", self.directory / "locks"
        path.write_text("1234\n")
        inode = path.stat().st_ino
        held = "1: FLOCK  ADVISORY  WRITE {} 00:2a:{} 0 EOF\n"
        others = held.format(1234, inode + 1) + held.replace("FLOCK", "POSIX").format(1234, inode)
        with mock.patch.object(file_arbiter, "LOCKS", locks):
            locks.write_text(others + held.format(1234, inode))
            self.assertEqual(lock_owner(path), 1234)
            for listed, process in (
                (others, None),
                (held.format(77, inode), 77),  # the number was another process's
                (held.format(0, inode), None),  # it is in another container
            ):
                locks.write_text(listed)
                self.assertIs(locked_by(path), process)
                with self.assertRaisesRegex(Unavailable, "catalog-1 does not run"):
                    lock_owner(path)

    def test_the_number_of_a_process_replaces_a_longer_one(self) -> None:
        path = self.directory / "catalog-1.pid"
        path.write_text("12345678901\n")
        held = lock_exclusively(path)
        self.assertEqual(path.read_text(), f"{os.getpid()}\n")
        os.close(held)

    def test_a_network_file_system_is_refused(self) -> None:
        mounts = self.directory / "mounts"
        mounts.write_text(
            "/dev/sda / ext4 rw 0 0\n"
            "/dev/sdb /mnt/shop/own xfs rw 0 0\n"
            "/dev/sdc /mnt/shop ext4 rw 0 0\n"
            "share /mnt/shop nfs4 rw 0 0\n"  # over the one before
        )
        with mock.patch.object(file_arbiter, "MOUNTS", mounts):
            for taken in ("/", "/mnt", "/mnt/shop2", "/mnt/shop/own", "/mnt/shop/own/data"):
                refuse_network_file_system(Path(taken))
            for refused in ("/mnt/shop", "/mnt/shop/data"):
                with self.assertRaisesRegex(
                    ConfigError, f"{refused}: lies on nfs4 \\(/mnt/shop\\)"
                ):
                    refuse_network_file_system(Path(refused))

    def test_a_local_file_system_is_taken(self) -> None:
        refuse_network_file_system(self.directory)
        refuse_network_file_system(self.directory / "not" / "yet" / "made")

    def test_where_nobody_knows_what_is_mounted_nothing_is_refused(self) -> None:
        with mock.patch.object(file_arbiter, "MOUNTS", self.directory / "nothing"):
            refuse_network_file_system(self.directory)
