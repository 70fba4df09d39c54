"""Command line: arguments to configuration, workflow, exit code."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run `actstore`."""
    from actstore.cli.app import app
    from actstore.cli.run import run_command

    run_command(app)
