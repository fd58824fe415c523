"""Where files live, and how they are written: whole or not at all."""

import os
import secrets
import sys
from pathlib import Path


def home() -> Path:
    """The one folder of data sets, models and caches: KARUSSELL_HOME, else the platform's cache folder.

    The folder is named, not made.
    """
    chosen = os.environ.get("KARUSSELL_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "karussell"


def write_atomic(path: Path | str, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    The content goes to a temporary file of the same folder, reaches the disk, and takes the name in one step.
    Text is UTF-8 with the line ends it has. An OSError (no space, no permission) leaves the old file as it was.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
