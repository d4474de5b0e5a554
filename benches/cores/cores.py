#!/usr/bin/env python3
"""What a second core gives a server, on a machine that has no third for the load generator.

Of each kind one server has one core and the load generator (h2load, one thread, 8 connections of 20 streams) the
other; a second server has both, and the generator has what it can get of them. Where a check costs little, the
generator takes a large part of the second core, so `checks/s` alone says too little. Therefore the last column:
how many checks two cores make to those of one if the server has them to itself, from its CPU time for a check,
measured while its workers and the generator keep both cores busy. Where workers wait for each other by spinning
or share what caches hold, a check costs more then; where they sleep instead, `cores busy` falls below 2.

Where a check is dear (`rego rbac`), the generator needs next to nothing, and `checks/s` shows the same directly.

Build first: cargo build --release --locked --bins

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from common import check_machine, end, finish, option_parser, plural, positive, say, table  # noqa: E402
from measure import load, warm_up  # noqa: E402
from servers import FIVE_POLICIES, QUICKSTART, REGO, greet, start_native, start_rego  # noqa: E402
from wire import POLICIES, grpc_request  # noqa: E402

STREAMS = 20
CONNECTIONS = 8
KINDS = (
    ("doorward cached", start_native, POLICIES, QUICKSTART, True, False),
    ("doorward native", start_native, FIVE_POLICIES, {}, False, False),
    ("doorward rego rbac", start_rego, REGO / "rbac"),
)

# Program, and the Debian package that has it.
TOOLS = (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux"))


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--rounds", type=positive, default=3, help="measured rounds (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of load a round and server (default %(default)s)")
    options = parser.parse_args(arguments)
    options.connections = CONNECTIONS
    return options


def with_cores(options, server, generator):
    return argparse.Namespace(**{**vars(options), "cores": (server, generator)})


def measure(options, work, stack):
    request = work / "check-request.grpc"
    request.write_bytes(grpc_request())
    both = ",".join(map(str, options.cores))
    places = {"one": options, "two": with_cores(options, both, both)}
    rows = []
    for name, start, *what in KINDS:
        say(f"{name}: warm-up, {plural(options.rounds)} of {options.seconds:g} s on one core and on two")
        servers = {place: start(stack, there, work, f"{name} {place}", *what) for place, there in places.items()}
        for server in servers.values():
            greet(server, request)
        counts = {place: int(warm_up(servers[place], there, request, STREAMS) * options.seconds)
                  for place, there in places.items()}
        rounds = [{place: load(servers[place], there, request, STREAMS, counts[place])
                   for place, there in places.items()} for _ in range(options.rounds)]
        rows.append(row(name, rounds))
        for server in servers.values():
            server.stop()
    return rows


def row(name, rounds):
    def median(value):
        return statistics.median(value(results["one"], results["two"]) for results in rounds)

    def cost(result):
        return result["cpu_us"] / result["succeeded"]

    return {
        "server": name,
        "one": median(lambda one, _: one["rate"]),
        "two": median(lambda _, two: two["rate"]),
        "ratio": median(lambda one, two: two["rate"] / one["rate"]),
        "cpu_us_one": median(lambda one, _: cost(one)),
        "cpu_us_two": median(lambda _, two: cost(two)),
        "server_cores": median(lambda _, two: two["rate"] * cost(two) / 1e6),
        "busy_cores": median(lambda _, two: (two["rate"] * cost(two) + two["rate"] * two["load_cpu_us"]
                                             / two["succeeded"]) / 1e6),
        "by_cpu": median(lambda one, two: 2 * cost(one) / cost(two)),
    }


HEADING = ("server", "checks/s, one core", "two cores", "ratio", "CPU µs/check, one", "two", "server's cores of two",
           "cores busy", "ratio by CPU time")


def report(numbers):
    rows = [[result["server"], f"{result['one']:,.0f}", f"{result['two']:,.0f}", f"{result['ratio']:.2f}",
             f"{result['cpu_us_one']:.1f}", f"{result['cpu_us_two']:.1f}", f"{result['server_cores']:.2f}",
             f"{result['busy_cores']:.2f}", f"{result['by_cpu']:.2f}"] for result in numbers["results"]]
    return table(HEADING, rows)


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-cores-")))
        numbers = {"results": measure(options, work, stack)}
    finish(options, report(numbers), numbers)


if __name__ == "__main__":
    end(main)
