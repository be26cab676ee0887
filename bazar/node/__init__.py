"""One process that serves, and all processes of this machine: start, stop, restart, log."""
