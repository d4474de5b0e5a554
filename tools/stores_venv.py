#!/usr/bin/env python3
"""Makes sure that a server which speaks S3 is at hand and prints the folder of its Python modules.

From PyPI into `.venv/stores` of this repository: moto, which checks signatures and permissions as AWS does, and
what it needs, in the versions that are written down in `tests/stores`. Once they are there, no network is needed.

Exit codes: 0 done, 3 they could not be provided (the reason is on standard error).
"""

import hashlib
import shutil
import sys

from envoy_venv import PYTHON, ROOT, VENV, Failure, make_venv, run, say, tail

REQUIREMENTS = ROOT / "tests" / "stores" / "requirements.txt"
FOLDER = VENV / "stores"
# What the folder was made from.
MARK = FOLDER / "requirements.sha256"


def provide():
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if MARK.exists() and MARK.read_text() == wanted:
        return
    make_venv()
    say("installing a server that speaks S3 into .venv/stores (about 120 MB, once)")
    shutil.rmtree(FOLDER, ignore_errors=True)
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    answer = run([*pip, "--target", FOLDER, "--requirement", REQUIREMENTS])
    if answer.returncode != 0:
        raise Failure("could not install a server that speaks S3 from PyPI\n" + tail(answer))
    MARK.write_text(wanted)


def main() -> int:
    try:
        provide()
        print(FOLDER)
    except Failure as failure:
        say(f"error: {failure}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
