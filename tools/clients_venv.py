#!/usr/bin/env python3
"""Makes sure that other people's clients of OPA's API are at hand and prints the folder of their programs.

From PyPI into `.venv` of this repository: OPA's Python client, Schemathesis, and Node with npm; by that npm,
OPA's JavaScript client. All of them, and what they need, have the versions that are written down in
`tests/clients`. Once they are there, no network is needed.

Exit codes: 0 done, 3 they could not be provided (the reason is on standard error).
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from envoy_venv import ROOT, VENV, Failure, make_venv, pip_install, run, say, tail, tell

PINNED = ROOT / "tests" / "clients"
REQUIREMENTS = PINNED / "requirements.txt"
NPM_FILES = [PINNED / "package.json", PINNED / "package-lock.json"]
# Beside what is installed for it: what that was made from.
MARK = VENV / "clients.sha256"
NODE_FOLDER = VENV / "clients"


def clients_path() -> Path:
    """The folder of the programs, installed first if need be."""
    wanted = digest()
    if not MARK.exists() or MARK.read_text() != wanted:
        install()
        MARK.write_text(wanted)
    return VENV


def install():
    make_venv()
    say("installing clients of OPA's API into .venv (about 100 MB, once)")
    answer = pip_install("--requirement", REQUIREMENTS)
    if answer.returncode != 0:
        raise Failure("could not install the clients from PyPI\n" + tail(answer))
    NODE_FOLDER.mkdir(exist_ok=True)
    for file in NPM_FILES:
        shutil.copy(file, NODE_FOLDER)
    # npm starts `node` by its name.
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    npm = [VENV / "bin" / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    answer = run([*npm, "--prefix", NODE_FOLDER])
    if answer.returncode != 0:
        raise Failure("could not install the JavaScript client from npm's registry\n" + tail(answer))


def digest() -> str:
    texts = b"\0".join(file.read_bytes() for file in [REQUIREMENTS, *NPM_FILES])
    return hashlib.sha256(texts).hexdigest()


if __name__ == "__main__":
    sys.exit(tell(clients_path))
