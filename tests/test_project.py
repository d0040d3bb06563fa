"""The project as a whole: what a package carries, and that its rooms and documents keep what they promise."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> Path:
    """Wheel and source distribution, built from this checkout with the installed backend."""
    folder = tmp_path_factory.mktemp("dist")
    build = (
        "import os, sys; os.chdir(sys.argv[1]); from hatchling import build as b; "
        "b.build_wheel(sys.argv[2]); b.build_sdist(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", build, CHECKOUT, folder], check=True, capture_output=True)
    return folder


def _data_files() -> set[str]:
    return {
        str(file.relative_to(CHECKOUT))
        for room in ("extensions", "mappings")
        for file in (CHECKOUT / room).rglob("*")
        if file.is_file()
    }


def test_a_wheel_carries_every_file_of_extensions_and_mappings(distributions):
    (wheel,) = distributions.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"tocsin/_data/{name}" for name in _data_files()} <= names


def test_a_wheel_carries_the_migrations_and_the_sample_incidents(distributions):
    (wheel,) = distributions.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any("store/migrations/versions/" in name for name in names)
    assert any("cli/demo/samples/" in name for name in names)


def test_a_source_distribution_carries_them_too(distributions):
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert _data_files() <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_data_files_are_found_from_a_checkout_and_from_an_installed_wheel(distributions, tmp_path):
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    ask = "from tocsin.resources import data_dir as d; m = d('mappings'); print((m / 'veris.yaml').is_file(), m)"
    for path in (tmp_path, CHECKOUT / "node"):
        told = subprocess.run(
            [sys.executable, "-c", ask], env={"PYTHONPATH": str(path)}, check=True, capture_output=True, text=True
        ).stdout
        assert told.startswith("True")
        assert str(path if path == tmp_path else CHECKOUT) in told


def test_the_import_contracts_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_readme_fits_on_two_screens():
    assert len((CHECKOUT / "README.md").read_text().splitlines()) <= 135
