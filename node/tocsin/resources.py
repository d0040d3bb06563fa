"""Resources: where the data files of the project lie, in a checkout and in an installed wheel."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]


def data_dir(name: str) -> Traversable:
    """The folder `extensions` or `mappings`.

    An editable install leaves a stale copy of these in site-packages, so a checkout wins where there is one.
    """
    if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / name).is_dir():
        return _CHECKOUT / name
    return files("tocsin") / "_data" / name
