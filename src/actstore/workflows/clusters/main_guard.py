"""Scripts that would run again in each process that they start."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

from actstore.errors import UsageError

__all__ = ["check_main_guard"]

_GUARDS: Final = frozenset({"__name__", "current_process"})


def check_main_guard(starting: str) -> None:
    """Refuse to start processes from a script without ``if __name__ == "__main__":``.

    Each new process imports the script first, which would start the processes again, and so on. In such a process the
    script ends here, without a message: the process that started it has the error.

    Parameters
    ----------
    starting
        What starts processes, for the message.

    Raises
    ------
    UsageError
        If the statement of the script that is running is under no such condition; the message shows what to write.
    """
    processes = sys.modules.get("multiprocessing.process")  # loaded in every process that multiprocessing starts
    if processes is not None and getattr(processes.current_process(), "_inheriting", False):
        sys.exit(1)
    script, line = _running_line()
    if script is None:
        return
    try:
        text = script.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, UnicodeDecodeError, SyntaxError):  # no source that could be looked at
        return
    conditions = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    if any(node.lineno <= line <= (node.end_lineno or line) and _is_guard(node.test) for node in conditions):
        return
    raise UsageError(
        f"{script}, line {line}: {starting} starts processes, and each of them runs this script again up to here. Put "
        'what the script does under a condition:\n\nif __name__ == "__main__":\n'
        f"    {text.splitlines()[line - 1].strip()}"
    )


def _is_guard(test: ast.expr) -> bool:
    """Return whether a condition may tell a script from its import: by `__name__`, or by the kind of the process."""
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(test)}
    return any("main" in name or name in _GUARDS for name in names)


def _running_line() -> tuple[Path | None, int]:
    """Return the file of the script that new processes would import, and the line that it is at; None for neither."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    frame = sys._getframe() if file else None  # noqa: SLF001 - `inspect` reads the source of every frame
    while frame is not None:
        if frame.f_globals is vars(main) and frame.f_code.co_name == "<module>":
            return Path(str(file)), frame.f_lineno
        frame = frame.f_back
    return None, 0
