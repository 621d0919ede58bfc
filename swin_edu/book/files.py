"""Write files so that others see the old one or the new one, never half."""

import os
import tempfile
from pathlib import Path


def replace_text(path: Path, text: str) -> bool:
    """Write `text` unless the file holds it already."""
    if path.exists() and path.read_text("utf-8") == text:
        return False
    replace_bytes(path, text.encode("utf-8"))
    return True


def check_out(out: Path) -> None:
    """Raise NotADirectoryError when the folder that --out names is a file."""
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out is {out}, which is no folder; name a folder")


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file at once, under a temporary name until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
