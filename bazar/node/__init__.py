"""One process that serves, and all of them on this machine: start, stop, restart, log."""
