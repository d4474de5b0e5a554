#!/usr/bin/env python3
"""Doorward's speed beside those of the framework and of HTTP/2 alone, as whole processes over real connections.

Every server has one core and the load generator (h2load, 4 connections) another; all get the same bytes. A
round asks each server in turn, so that a drift of the machine hits all alike; ratios are taken within a round
and their median is shown. Machines differ: compare ratios, not checks/s, across machines.

  raw-h2                 the h2 crate with a constant answer, nothing decoded: the practical limit
  tonic-noop             decodes the request and allows it: what the framework alone costs
  doorward cached        quickstart policies (JWT, native) and Rego bundle; all but the first are cache hits
  doorward native        five native policies and a JWT that was seen before, every decision made anew
  doorward …, log on     the same, and every decision recorded
  doorward rego NAME     one Rego policy of `policies/`, every decision made anew, nothing recorded
  opa-envoy              the quickstart's rules as one Rego policy, if OPA_ENVOY_BIN names an opa-envoy-plugin
  opa-envoy rego NAME    the same Rego policy as `doorward rego NAME`, of which a ratio to it is shown

With the log on, the thread that stores records runs on the core of the load generator, and takes from its time:
where both together need more than that core, `to log off` is less than the server's own part in it, which `CPU
µs/check` tells, without that thread. `records/s` are the records stored by the time until the last one was; a
row whose records were not all stored does not count. A round has several times the records that wait at most.

Latency is that of a separate run, because its log would slow the generator down; with so many requests waiting
it says how evenly answers come rather than how long one takes. CPU per check counts what a server still does
after the load and goes in steps of 10 ms a round. Then a bundle is pushed again and again: the time from
sending it to the answer 200, after which the next check must be decided by it.

Build first: cargo build --release --locked --bins --examples

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import contextlib
import platform
import re
import sys
import tempfile
from pathlib import Path

from common import (
    CONNECTIONS, LIMIT, RELEASE, YARDSTICK, Failure, absolute, check_machine, end, finish, option_parser, positive,
    run, say,
)
from measure import Metrics, compare, measure_pushes
from report import report
from servers import REGO, greet, start_all
from wire import grpc_request

STREAMS = (1, 20)  # a connection
# Its policies allow the request, so that what a pushed bundle says decides.
PUSHED_TO = "doorward native"

# Program, and the Debian package that has it.
TOOLS = (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux"))


def parse(arguments):
    parser = option_parser(__doc__)
    for name, program in (("raw", LIMIT), ("noop", YARDSTICK)):
        parser.add_argument(f"--{name}", type=absolute, default=RELEASE / "examples" / program, metavar="FILE",
                            help=f"the {program} program; skipped if it is not there")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="PART,…",
                        help="servers whose name has one of these parts, as raw,noop,cached")
    parser.add_argument("--request", type=absolute, help="a gRPC-framed CheckRequest to send instead of our own")
    parser.add_argument("--rego", type=absolute, default=REGO, metavar="FOLDER",
                        help="folders and files of Rego, each compared as one policy (default: those beside this)")
    parser.add_argument("--rounds", type=positive, default=3, help="measured rounds (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of load a round and server (default %(default)s)")
    options = parser.parse_args(arguments)
    options.connections = CONNECTIONS
    return options


def machine():
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "kernel": platform.release(),
        "h2load": run(["h2load", "--version"]).stdout.decode().strip(),
    }


def check_options(options):
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
    decisions = {server.name: Metrics(server).summary() for server in doors}
    pushed = next((server for server in doors if server.name == PUSHED_TO), None)
    push = measure_pushes(pushed, own_request) if pushed else None
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "request_bytes": request.stat().st_size,
        "results": results,
        "decisions": decisions,
        "push": push,
        "binary_bytes": {path.name: path.stat().st_size
                         for path in (options.binary, options.noop, options.raw) if path.exists()},
    }


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    check_options(options)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-compare-")))
        numbers = measure(options, work, stack)
    finish(options, report(numbers), numbers)


if __name__ == "__main__":
    end(main)
