"""The note of a move (`storage/moving.py`), in a file of the data directory."""

from __future__ import annotations

from pathlib import Path

from bazar.durable import atomic_write, sync_path
from bazar.errors import ConfigError
from storage.moving import Note


def path_in(data_dir: Path) -> Path:
    return data_dir / "moved.json"


def read(data_dir: Path) -> Note | None:
    """Return the note, None where there is none. Raises ConfigError."""
    path = path_in(data_dir)
    try:
        return Note.of(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def write(data_dir: Path, note: Note | None) -> None:
    """Replace the note, durably; None takes it away. Raises OSError."""
    path = path_in(data_dir)
    if note is not None:
        atomic_write(path, note.text.encode())
    else:
        path.unlink(missing_ok=True)
        sync_path(data_dir)


def refuse_moved(data_dir: Path) -> None:
    """Refuse what a move has left, or has not finished. Raises ConfigError."""
    note = read(data_dir)
    if note is not None:
        note.check(str(path_in(data_dir)))
