"""What everything that measures shares: where things are, options, how a program is run, how a failure or a
result is told."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / "target" / "release"

HOST = "127.0.0.1"
YARDSTICK = "tonic-noop"
LIMIT = "raw-h2"
LOG_ON = ", log on"
SHADOW = ", shadow"
CONNECTIONS = 4

GRPC_HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


class Failure(Exception):
    """It cannot go on; the text tells why and what to do about it."""

    def __init__(self, text, code=3):
        super().__init__(text)
        self.code = code


def option_parser(text):
    """Options that all have. The module's text is their help: a line of its own, and details."""
    summary, _, details = text.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=absolute, default=RELEASE / "doorward", help="the doorward program")
    parser.add_argument("--cores", type=two_cores, default=(0, 1), metavar="SERVER,LOAD",
                        help="cores for the server and for what it is measured with (default 0,1)")
    parser.add_argument("--json", type=absolute, metavar="FILE", help="write the numbers to this file")
    return parser


def absolute(text):
    # Servers run in another folder.
    return Path(text).absolute()


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def two_cores(text):
    cores = tuple(int(core) for core in text.split(","))
    if len(set(cores)) != 2:
        raise argparse.ArgumentTypeError("must be two different cores, as 0,1")
    return cores


def check_machine(options, tools):
    """Whether everything is there. A tool is a program and the Debian package that has it."""
    for tool, package in tools:
        if not shutil.which(tool):
            raise Failure(f"{tool} is not installed; on Debian and Ubuntu: apt-get install {package}")
    missing = set(options.cores) - os.sched_getaffinity(0)
    if missing:
        raise Failure(f"this process may not use core {', '.join(map(str, sorted(missing)))}: it needs one core "
                      "for the server and one for load; --cores SERVER,LOAD names others")
    if not options.binary.exists():
        raise Failure(f"{options.binary} is not there; build it with `cargo build --release --locked`")


def finish(options, text, numbers):
    """Tells what was measured."""
    print(text)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


def end(main):
    """Runs the whole of it. What the operating system or the user wants ends it in order, servers included."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except Failure as failure:
        say(f"error: {failure}")
        sys.exit(failure.code)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(128 + signal.SIGINT)


def table(heading, rows):
    """Rows of texts as Markdown whose columns stand in line; all but the first are numbers."""
    rows = [[str(cell) for cell in row] for row in (heading, *rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    lines = [" | ".join([row[0].ljust(widths[0]),
                         *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]) for row in rows]
    lines.insert(1, "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]))
    return "\n".join(f"|{line}|" if number == 1 else f"| {line} |" for number, line in enumerate(lines))


def mebibytes(count):
    return f"{count / 2**20:,.0f} MiB"


def run(command):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


def plural(count, what="round"):
    return f"{count} {what}{'s' if count > 1 else ''}"


def last_lines(text):
    return "\n".join("  " + line for line in text.strip().splitlines()[-12:])


def say(text):
    # Standard output has the result and nothing else.
    print(text, file=sys.stderr, flush=True)
