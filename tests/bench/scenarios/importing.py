"""Importing: `tocsin import veris` from its start as a process to its end, with what it publishes."""

import resource
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from tests.bench import veris
from tests.bench.bench import Bench
from tests.bench.client import Broken
from tests.bench.measure import Figure, Sample
from tests.bench.processes import watching
from tests.bench.scenarios.turns import in_turns
from tests.bench.targets import node
from tests.bench.targets.taxii import TaxiiTarget


def import_veris(bench: Bench) -> list[Figure]:
    """Records classified, validated, stored and published into an automatic collection, beside a running node; off
    the clock every one of them must then stand there."""
    targets = bench.line_up("node", use="import")
    count = bench.wanted.records

    def measure(target: TaxiiTarget, repeat: int) -> Sample:
        sample = import_records(target, repeat * count, count)
        _check(target, (repeat + 1) * count)
        return sample

    return in_turns(bench, "import", "", "records/s", targets, measure)


def import_records(target: TaxiiTarget, first: int, count: int) -> Sample:
    """One run of the command: its time, CPU and memory (of its own process)."""
    home = target.server.log.parent
    file = home / f"records-{first}.jsonl"
    file.write_bytes(b"\n".join(veris.records(first, count)) + b"\n")
    command: list[str | Path] = [
        node.TOCSIN,
        "import",
        "veris",
        file,
        "--source",
        "bench",
        "--tlp",
        "green",
        "--home",
        home,
    ]
    return target.sample(lambda: _run(command, file.with_suffix(".out"), count))


def _run(command: list[str | Path], out: Path, count: int) -> Sample:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with out.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        with watching(process.pid) as watched:
            code = process.wait()
    seconds = time.perf_counter() - began
    if code != 0:
        raise Broken(f"tocsin import ended with {code}: {out.read_text(errors='replace')[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(count, seconds, server_cpu=cpu, anonymous=watched.anonymous)


def _check(target: TaxiiTarget, expected: int) -> None:
    """Every record has its incident in the collection."""
    collection = replace(target, path=f"/exchange/collections/{node.IMPORTED}/", head="")
    _, ids = collection.read(600, "incident")
    if len(set(ids)) != expected or len(ids) != expected:
        raise Broken(f"{target.name}: {len(set(ids))} incidents stand there, {expected} records were imported")
