#!/usr/bin/env python3
"""How much memory a server has resident after many distinct checks, and whether it grows under load.

Every check is for another path, so every decision is made anew and none in the cache is asked for again: the
cache fills to its size and goes on replacing. Policies are the quickstart's, everything else has its defaults.

  doorward              nothing recorded; checks as fast as they are answered
  doorward, log on      every decision recorded; at --rate checks a second
  … under load          the same server and rate for --minutes more, its memory read once a second: growth is the
                        median of the last third less that of the first

All are to be allowed: one that is denied took longer than an evaluation may, because the machine had other work.
The bound is 40 MB and the size of the cache. Server and load generator (`distinct.rs`) have a core each, and the
log's thread that of the generator.

Build first: cargo build --release --locked --bins --examples

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from common import (  # noqa: E402
    LOG_ON, RELEASE, Failure, absolute, check_machine, end, finish, last_lines, option_parser, positive, say, table,
)
from measure import Metrics  # noqa: E402
from servers import QUICKSTART, greet, start_native  # noqa: E402
from wire import POLICIES, grpc_request  # noqa: E402

# As `distinct.rs` expects it.
MARK = "00000000"
CACHE_BYTES = 64 << 20
BOUND = 40_000_000 + CACHE_BYTES

# Program, and the Debian package that has it.
TOOLS = (("nghttp", "nghttp2-client"), ("taskset", "util-linux"))


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--distinct", type=absolute, default=RELEASE / "examples" / "distinct", metavar="FILE",
                        help="the program that sends them")
    parser.add_argument("--checks", type=positive, default=1_000_000, help="default %(default)s")
    parser.add_argument("--rate", type=positive, default=25_000,
                        help="checks a second with the log on (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=0.5, help="of load after them (default %(default)s)")
    return parser.parse_args(arguments)


class Load:
    """Distinct checks, none ever sent twice to a server."""

    def __init__(self, options, server, request):
        self.options, self.server, self.request, self.sent = options, server, request, 0

    def send(self, count, rate, meanwhile=lambda: None):
        """Sends so many; calls something once a second until all are answered."""
        before = Metrics(self.server)
        command = ["taskset", "-c", str(self.options.cores[1]), str(self.options.distinct), self.server.address,
                   str(self.request), f"--first={self.sent}", f"--count={count}", f"--rate={rate}"]
        self.sent += count
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
                meanwhile()
            out, err = process.communicate()
        if process.returncode:
            raise Failure("the load generator failed\n" + last_lines(err.decode(errors="replace")))
        said = json.loads(out)
        self.server.settle()
        now = Metrics(self.server)
        said["decided"] = now.count("decisions") - before.count("decisions")
        said["denied"] = now.count("decisions", effect="deny") - before.count("decisions", effect="deny")
        said["dropped"] = now.count("decision_log_dropped") - before.count("decision_log_dropped")
        if said["answered"] != count or said["decided"] != count:
            raise Failure(f"{self.server.name}: of {count} checks {said['answered']} were answered and "
                          f"{said['decided']} decided", 1)
        return said


def row(server, what, before, said):
    return {"server": server.name, "what": what, "rate": said["answered"] / said["seconds"],
            "before_bytes": before, "after_bytes": server.rss(), "peak_bytes": server.peak(),
            "anonymous_bytes": server.memory("RssAnon"), "p50_us": said["p50_us"], "p99_us": said["p99_us"],
            "denied": said["denied"], "dropped": said["dropped"]}


def measure(options, work, stack):
    request = work / "check-request.grpc"
    request.write_bytes(grpc_request(f"/items/{MARK}"))
    rows = []
    for log in (False, True):
        name = f"doorward{LOG_ON if log else ''}"
        server = start_native(stack, options, work, name, POLICIES, QUICKSTART, True, log)
        greet(server, request)
        load, before = Load(options, server, request), server.rss()
        say(f"{name}: {options.checks:,} distinct checks")
        said = load.send(options.checks, options.rate if log else 0)
        rows.append(row(server, f"{options.checks:,} distinct checks", before, said))
    if options.minutes:
        rows.append(under_load(options, server, load))
    return rows


def under_load(options, server, load):
    say(f"{server.name}: {options.minutes:g} minutes of {options.rate:,} distinct checks a second")
    before, samples = server.rss(), []
    said = load.send(int(options.minutes * 60 * options.rate), options.rate, lambda: samples.append(server.rss()))
    # Not what is freed once the load has ended.
    samples.pop()
    third = max(1, len(samples) // 3)
    found = row(server, f"{options.minutes:g} min under load", before, said)
    found["growth_bytes"] = statistics.median(samples[-third:]) - statistics.median(samples[:third])
    found["samples_bytes"] = samples
    return found


HEADING = ("server", "after", "checks/s", "before", "resident", "of it not files", "most", "bound", "growth",
           "p50 µs", "p99 µs", "denied", "dropped")


def report(numbers):
    def megabytes(count):
        return f"{count / 1e6:.1f} MB"

    rows = [[result["server"], result["what"], f"{result['rate']:,.0f}", megabytes(result["before_bytes"]),
             megabytes(result["after_bytes"]), megabytes(result["anonymous_bytes"]), megabytes(result["peak_bytes"]),
             megabytes(BOUND), megabytes(result["growth_bytes"]) if "growth_bytes" in result else "",
             f"{result['p50_us']:,}", f"{result['p99_us']:,}", f"{result['denied']:,}", f"{result['dropped']:,}"]
            for result in numbers["results"]]
    return table(HEADING, rows)


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    if not options.distinct.exists():
        raise Failure(f"{options.distinct} is not there; build it with `cargo build --release --locked --examples`")
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-memory-")))
        numbers = {"results": measure(options, work, stack)}
    finish(options, report(numbers), numbers)


if __name__ == "__main__":
    end(main)
