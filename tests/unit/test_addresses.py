"""Whether a host is this machine, and whether others reach it."""

from __future__ import annotations

import unittest

from bazar.addresses import is_loopback, is_own


class AddressesTest(unittest.TestCase):
    def test_which_addresses_are_its_own(self) -> None:
        for host in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
            self.assertTrue(is_own(host), host)
        for host in ("192.0.2.1", "nobody.invalid", "a" * 64 + ".invalid"):
            self.assertFalse(is_own(host), host)

    def test_which_no_other_machine_reaches(self) -> None:
        for host in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
            self.assertTrue(is_loopback(host), host)
        for host in ("0.0.0.0", "::", "192.0.2.1", "shop.example", "fe80::1%eth0"):
            self.assertFalse(is_loopback(host), host)
