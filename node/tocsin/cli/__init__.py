"""The command line: what a duty officer types, and what scripts and deployments rely on.

One file for each group of commands, in the order of `--help`: `start`, `intake`, `look`, `out`, `people`,
`peers`; `demo` shows two nodes at work. They only ask and show: what is done is done in the rooms below.
"""

from tocsin.cli.main import main

__all__ = ["main"]
