"""What makes a service distributed."""

VERSION = "0.1.0"

try:
    import fcntl  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "Bazar runs on Linux, macOS and other Unix systems: it needs their file locks (fcntl)."
        " On Windows use WSL 2."
    ) from None
