"""Demo."""

import typer


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
