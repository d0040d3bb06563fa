"""Exchange: what happens between the two nodes, step by step, as their officers would type it."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path
from string import Template

from tocsin.cli.console import say
from tocsin.cli.demo.node import DemoNode
from tocsin.errors import Refused

SOURCE = "demo"
SAMPLES = files("tocsin.cli.demo") / "samples"
FOLDERS = ("green", "amber", "red", "unmarked")  # of VERIS records, by the TLP they are imported with
TABLE = "helpdesk.csv"
HELD = "CA-017"  # the record that an officer keeps back
_FILES = files("tocsin.cli.demo") / "alpha"


class Exchange:
    """The two nodes, and what is known once they have exchanged."""

    def __init__(self, folder: Path) -> None:
        alpha_port, beta_port = _free_ports(2)
        self.alpha = DemoNode(folder / "alpha", alpha_port)
        self.beta = DemoNode(folder / "beta", beta_port)
        self.acme_token = ""
        self.beta_token = ""

    def carry_out(self) -> None:
        """Everything, in order. Raises Refused at the first step that fails."""
        started = time.monotonic()
        with ThreadPoolExecutor(1) as beside:
            beta = beside.submit(self._make_beta)
            self._make_alpha()
            self.alpha.start()
            self._import()
            self._publish()
            self._give_tokens()
            beta.result()
        self.alpha.wait_until_serving()
        say(f"CERT Alpha serves on {self.alpha.address}.")
        self._pull()
        self.beta.start()
        self.beta.wait_until_serving()
        say(f"CERT Beta serves on {self.beta.address}. All that took {time.monotonic() - started:.0f} s.")

    def close(self) -> None:
        """End both nodes."""
        self.alpha.stop()
        self.beta.stop()

    def serve_on(self, seconds: float) -> bool:
        """Wait a little. Raises Refused when a node has ended by itself."""
        time.sleep(seconds)
        for node in (self.alpha, self.beta):
            if not node.serving:
                raise Refused(f"the node in {node.home} has ended:\n{node.log}")
        return True

    def _make_alpha(self) -> None:
        self.alpha.tocsin("init", "--name", "CERT Alpha", "--country", "EE")
        ports = {"alpha_port": str(self.alpha.port), "beta_port": str(self.beta.port)}
        settings = Template((_FILES / "tocsin.yaml").read_text(encoding="utf-8")).substitute(ports)
        (self.alpha.home / "tocsin.yaml").write_text(settings, encoding="utf-8")
        for name in ("open.yaml", "regional.yaml"):
            text = (_FILES / name).read_text(encoding="utf-8")
            (self.alpha.home / "policies" / name).write_text(text, encoding="utf-8")
        self.alpha.tocsin("apply", "--yes")
        say("CERT Alpha (EE) has a home, and two collections: 'open' and 'regional'.")

    def _make_beta(self) -> None:
        self.beta.tocsin("init", "--name", "CERT Beta", "--country", "LV")
        words = ["--pull", "open", "--pull", "regional", "--kind", "cert", "--country", "EE"]
        self.beta.tocsin("peer", "add", "cert-alpha", f"{self.alpha.address}/taxii2/", *words)
        self.beta.tocsin("apply", "--yes")

    def _import(self) -> None:
        with as_file(SAMPLES) as samples, ThreadPoolExecutor(2) as two:
            orders = [("veris", samples / name, () if name == "unmarked" else ("--tlp", name)) for name in FOLDERS]
            orders.append(("csv", samples / TABLE, ()))
            said = [
                two.submit(self.alpha.tocsin, "import", format_, str(path), "--source", SOURCE, *tlp, "--json")
                for format_, path, tlp in orders
            ]
            count = sum(len(one.result().splitlines()) for one in said)
        say(f"CERT Alpha imported {count} invented incidents, VERIS and CSV, from clear to red and unmarked.")

    def _publish(self) -> None:
        self.alpha.tocsin("hold", f"{SOURCE}:{HELD}")
        self.alpha.tocsin("publish", "--waiting", "--in", "regional", "--yes", "--json", partly=True)
        say("'open' released by itself; an officer published into 'regional', and holds one incident back.")

    def _give_tokens(self) -> None:
        with ThreadPoolExecutor(2) as two:
            acme = two.submit(self.alpha.tocsin, "account", "token", "acme")
            beta = two.submit(self.alpha.tocsin, "account", "token", "cert-beta")
            self.acme_token, self.beta_token = acme.result().strip(), beta.result().strip()

    def _pull(self) -> None:
        self.beta.tocsin("peer", "credential", "cert-alpha", typed=f"{self.beta_token}\n")
        for line in self.beta.tocsin("sync", "--once").splitlines():
            say(f"CERT Beta (LV) pulled {line}.")


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; all are held until all are found, so that none comes twice."""
    taken = []
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.bind(("127.0.0.1", 0))
        taken.append(one)
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports
