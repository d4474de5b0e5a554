"""What all parts of the comparison share: where things are, how a program is run, how a failure is told."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / "target" / "release"

HOST = "127.0.0.1"
YARDSTICK = "tonic-noop"
CONNECTIONS = 4

GRPC_HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


class Failure(Exception):
    """The comparison cannot go on; the text tells why and what to do about it."""

    def __init__(self, text, code=3):
        super().__init__(text)
        self.code = code


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
