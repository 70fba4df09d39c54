"""The command line: options to configuration, workflow, exit code."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run `trainer`."""
    from actstore import run_command
    from trainers.cli.app import app

    run_command(app)
