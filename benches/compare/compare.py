#!/usr/bin/env python3
"""Doorward's speed beside that of a plain tonic server, as whole processes over real connections.

Every server has one core and the load generator (h2load, 4 connections) another; all get the same bytes. A
round asks each server in turn, so that a drift of the machine hits all alike; ratios are taken within a round
and their median is shown. Machines differ: compare ratios, not checks/s, across machines.

  tonic-noop                decodes the request and allows it: what the framework alone costs
  doorward cached           quickstart policies (JWT, native) and Rego bundle; all but the first are cache hits
  doorward uncached         the same, every decision made anew
  doorward native uncached  the policies without the bundle: no Rego
  doorward rego NAME        one Rego policy of `policies/`, every decision made anew, nothing recorded
  opa-envoy                 the quickstart's rules as one Rego policy, if OPA_ENVOY_BIN names an opa-envoy-plugin
  opa-envoy rego NAME       the same Rego policy as `doorward rego NAME`, of which a ratio to it is shown

Latency is that of a separate run, because its log would slow the generator down; with so many requests waiting
it says how evenly answers come rather than how long one takes. CPU per check counts what a server still does
after the load (writing its decision log) and goes in steps of 10 ms a round. Then a bundle is pushed again and
again: the time from sending it to the answer 200, after which the next check must be decided by it.

Build first: cargo build --release --locked && cargo build --release --locked --example tonic-noop

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from common import RELEASE, Failure, run, say
from measure import PUSHES, Metrics, compare, measure_pushes
from report import report
from servers import REGO, greet, start_all
from wire import grpc_request

STREAMS = (1, 20)  # a connection
# Its policies allow the request, so that what a pushed bundle says decides.
PUSHED_TO = "doorward native uncached"

# Program, and the Debian package that has it.
TOOLS = (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux"))


def parse(arguments):
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=RELEASE / "doorward", help="the doorward program")
    parser.add_argument("--noop", type=Path, default=RELEASE / "examples" / "tonic-noop",
                        help="the tonic-noop program; skipped if it is not there")
    parser.add_argument("--request", type=Path, help="a gRPC-framed CheckRequest to send instead of our own")
    parser.add_argument("--rego", type=Path, default=REGO, metavar="FOLDER",
                        help="folders and files of Rego, each compared as one policy (default: those beside this)")
    parser.add_argument("--rounds", type=positive, default=3, help="measured rounds (default %(default)s)")
    parser.add_argument("--requests", type=positive, default=60_000,
                        help="requests a round at 20 streams, a third of it at 1 (default %(default)s)")
    parser.add_argument("--cores", type=two_cores, default=(0, 1), metavar="SERVER,LOAD",
                        help="cores for servers and load generator (default 0,1)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    return parser.parse_args(arguments)


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


def machine():
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "kernel": platform.release(),
        "h2load": run(["h2load", "--version"]).stdout.decode().strip(),
    }


def check_machine(options):
    for tool, package in TOOLS:
        if not shutil.which(tool):
            raise Failure(f"{tool} is not installed; on Debian and Ubuntu: apt-get install {package}")
    missing = set(options.cores) - os.sched_getaffinity(0)
    if missing:
        raise Failure(f"this process may not use core {', '.join(map(str, sorted(missing)))}: it needs one core "
                      "for servers and one for load; --cores SERVER,LOAD names others")
    if not options.binary.exists():
        raise Failure(f"{options.binary} is not there; build it with `cargo build --release --locked`")
    if not options.rego.is_dir():
        raise Failure(f"{options.rego} is not a folder")
    if options.request and not options.request.is_file():
        raise Failure(f"{options.request} is not a file")


def measure(options, work, stack):
    own_request = work / "check-request.grpc"
    own_request.write_bytes(grpc_request())
    request = options.request or own_request
    servers = start_all(stack, options, work)
    for server in servers:
        greet(server, request)
    results = [row for streams in STREAMS for row in compare(servers, options, request, streams, work)]
    doors = [server for server in servers if server.management]
    natives = next(server for server in doors if server.name == PUSHED_TO)
    decisions = {server.name: Metrics(server).summary() for server in doors}
    say(f"{PUSHES} pushes")
    push = measure_pushes(natives, own_request)
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "request_bytes": request.stat().st_size,
        "results": results,
        "decisions": decisions,
        "push": push,
        "binary_bytes": {path.name: path.stat().st_size for path in (options.binary, options.noop) if path.exists()},
    }


def terminated(*_):
    sys.exit(128 + signal.SIGTERM)


def main(arguments=None):
    options = parse(arguments)
    for name in ("binary", "noop", "request", "rego"):  # servers run in another folder
        path = getattr(options, name)
        setattr(options, name, path and path.absolute())
    signal.signal(signal.SIGTERM, terminated)
    try:
        check_machine(options)
        with contextlib.ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-compare-")))
            numbers = measure(options, work, stack)
    except Failure as failure:
        say(f"error: {failure}")
        return failure.code
    except KeyboardInterrupt:
        say("interrupted")
        return 128 + signal.SIGINT
    report(numbers)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())