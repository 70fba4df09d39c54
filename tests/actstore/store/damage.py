"""What happens to files on disks."""

from pathlib import Path

__all__ = ["flip"]


def flip(path: Path, place: int) -> None:
    """Change one bit of a file as a failing disk might: it stays the same file. Doing it again mends it."""
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))
