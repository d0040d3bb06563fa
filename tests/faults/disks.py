"""Disks of a test's own: one whose power can be cut, and one that is soon full. Root alone may make them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


class NoDisk(Exception):
    """Why there can be none here."""


def _run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoDisk(f"{words[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _need(*programs: str) -> None:
    if os.geteuid() != 0:
        raise NoDisk("only root may mount a file system")
    for program in programs:
        if shutil.which(program, path=_PATH) is None:
            raise NoDisk(f"there is no {program}")


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass
class LoopDisk:
    """An ext4 file system in a file. `cut` ends it as a power cut does: what was not flushed by then is gone."""

    image: Path
    folder: Path
    _device: str = field(default="", repr=False)

    def mount(self) -> None:
        if not self._device:
            self._device = _run("losetup", "--find", "--show", self.image).strip()
        _run("mount", "-t", "ext4", self._device, self.folder)

    def cut(self) -> None:
        """From here on nothing is written or read, not even the file system's own journal."""
        _run("xfs_io", "-x", "-c", "shutdown", self.folder)

    def unmount(self) -> None:
        _run("umount", self.folder)

    def remount(self) -> None:
        """As at the next start of the machine. The device is another, so that nothing remembered is believed."""
        self.unmount()
        self._detach()
        self.mount()

    def remove(self) -> None:
        if os.path.ismount(self.folder):
            _run("umount", "--lazy", self.folder)  # also where a failed test left somebody on it
        self._detach()
        self.image.unlink(missing_ok=True)

    def _detach(self) -> None:
        if self._device:
            _run("losetup", "--detach", self._device)
            self._device = ""


@contextmanager
def loop_disk(folder: Path, megabytes: int) -> Iterator[LoopDisk]:
    """Raises NoDisk with the reason where this machine or user cannot have one."""
    _need("losetup", "mkfs.ext4", "mount", "umount", "xfs_io")
    image = folder / "disk.image"
    with image.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    _run("mkfs.ext4", "-q", "-F", image)
    disk = LoopDisk(image, folder / "disk")
    disk.folder.mkdir()
    try:
        disk.mount()
        yield disk
    finally:
        disk.remove()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system with this much room. Raises NoDisk with the reason where there can be none."""
    _need("mount", "umount")
    place = folder / "disk"
    place.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place)
    try:
        yield place
    finally:
        _run("umount", "--lazy", place)


def fill(place: Path, leaving: int = 0) -> Path:
    """Take all the room there is on a file system but `leaving` bytes; the file that takes it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            try:
                while shutil.disk_usage(place).free > leaving:
                    file.write(bytes(size))
            except OSError:
                continue  # no room for that much; for less perhaps
    return filler
