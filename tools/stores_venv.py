#!/usr/bin/env python3
"""Makes sure that servers which speak S3 and Kafka are at hand and prints the folder of its Python modules.

From PyPI into `.venv/stores` of this repository: moto, which checks signatures and permissions as AWS does, and
confluent-kafka, whose librdkafka can play a cluster, and what they need, in the versions that are written down in `tests/stores`. Once they are there, no network is needed.

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
    say("installing servers that speak S3 and Kafka into .venv/stores (about 130 MB, once)")
    shutil.rmtree(FOLDER, ignore_errors=True)
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    answer = run([*pip, "--target", FOLDER, "--requirement", REQUIREMENTS])
    if answer.returncode != 0:
        raise Failure("could not install servers that speak S3 and Kafka from PyPI\n" + tail(answer))
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
