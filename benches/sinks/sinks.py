#!/usr/bin/env python3
"""What checks notice of a sink that is away, and what becomes of the decisions meanwhile.

A server is asked at a constant rate by h2load: without a sink, with one of type `http` that takes everything,
and with the same one away: its port refuses connections (`--fault refuses`), or takes them and never answers
(`--fault hangs`). Then the sink comes back, and is waited for until everything that was held has come. Told is
the latency of the checks of each spell, and what the sink got: every sequence number exactly once or again,
but for those that the server counts as dropped. Latencies are taken of the whole spell but its first second.

The server, its log and its sink share one core, the load generator and what the sink is have another, unless
--cores says otherwise.

Build first: cargo build --release --locked

Exit codes: 0 all ran, 1 a number is wrong or a check failed, 2 usage, 3 something is missing or could not be
started.
"""

import contextlib
import gzip
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from common import (  # noqa: E402
    CONNECTIONS, GRPC_HEADERS, HOST, Failure, check_machine, end, finish, last_lines, mebibytes, option_parser,
    positive, say, table,
)
from measure import Metrics, percentile  # noqa: E402
from servers import free_port, greet, start_with  # noqa: E402
from wire import grpc_request, url  # noqa: E402

TOOLS = (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux"))
STREAMS = 20  # a connection, so that a slow answer does not hold back the next request
SINK = "away"
SEQUENCE = re.compile(rb'"sequence":(\d+)')
# Longer than the longest pause between two attempts, and what is to be delivered after it.
BACK_TIMEOUT = 600.0


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--rate", type=positive, default=5000, help="checks a second (default %(default)s)")
    parser.add_argument("--seconds", type=positive, default=600, help="the sink is away (default %(default)s)")
    parser.add_argument("--quiet", type=positive, default=30, help="seconds of the others (default %(default)s)")
    parser.add_argument("--spill", default="8GiB", help="spill_bytes of the sink (default %(default)s)")
    parser.add_argument("--fault", choices=("refuses", "hangs"), default="refuses", help="default %(default)s")
    return parser.parse_args(arguments)


class Collector:
    """What the sink delivers to: on one port always, there or away."""

    def __init__(self, fault):
        self.fault = fault
        self.port = free_port()
        self.seen = set()
        self.received = 0
        self.closing = []

    def url(self):
        return f"http://{HOST}:{self.port}/logs"

    def take(self, body):
        numbers = [int(number) for number in SEQUENCE.findall(body)]
        self.received += len(numbers)
        self.seen.update(numbers)

    def come(self):
        self.leave()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            # As a handler must be called.
            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(gzip.decompress(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            # Connections that are open are closed as well when it goes away.
            open = []

            def get_request(self):
                request = super().get_request()
                self.open.append(request[0])
                return request

            def server_close(self):
                super().server_close()
                for connection in self.open:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                self.open.clear()

        listener = Listener((HOST, self.port), Handler)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        self.closing = [listener.shutdown, listener.server_close]

    def go_away(self):
        self.leave()
        if self.fault == "hangs":
            deaf = socket.create_server((HOST, self.port), backlog=1024)
            self.closing = [deaf.close]

    def leave(self):
        for close in self.closing:
            close()
        self.closing = []


class Spell:
    """Checks at a constant rate for so long, and how they went."""

    def __init__(self, server, options, request, seconds, work):
        log = work / "h2load.log"
        log.unlink(missing_ok=True)
        ticks, begun = server.cpu_seconds(), time.monotonic()
        command = ["taskset", "-c", str(options.cores[1]), "h2load", "-D", str(seconds), "-c", str(CONNECTIONS),
                   "-m", str(STREAMS), f"--rps={options.rate // CONNECTIONS}", f"--log-file={log}", "-d", request,
                   *GRPC_HEADERS, url(server.address)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        said = done.stdout.decode(errors="replace")
        if done.returncode or " 0 failed, 0 errored, 0 timeout" not in said:
            raise Failure("h2load failed, or not all checks succeeded\n" + last_lines(said), 1)
        self.cpu = (server.cpu_seconds() - ticks) / (time.monotonic() - begun)
        self.answered = int(re.search(r"(\d+) succeeded", said)[1])
        with open(log, "rb") as lines:
            rows = (line.split(b"\t") for line in lines)
            first = None
            self.times = []
            for row in rows:
                first = first or int(row[0]) + 1_000_000
                if int(row[0]) >= first:
                    self.times.append(int(row[2]))
        self.times.sort()

    def shown(self, name):
        times = (f"{percentile(self.times, share) / 1e3:,.2f} ms" for share in (0.5, 0.99, 0.999))
        return [name, *times, f"{self.times[-1] / 1e3:,.1f} ms", f"{self.cpu:.0%}"]

    def numbers(self):
        return {"p50_us": percentile(self.times, 0.5), "p99_us": percentile(self.times, 0.99),
                "p999_us": percentile(self.times, 0.999), "max_us": self.times[-1], "cpu": self.cpu,
                "answered": self.answered}


def server_with(stack, options, work, name, log):
    return start_with(stack, options, work, name, {
        "policies": [str(Path(__file__).resolve().parent.parent / "compare" / "policies" / "native.yaml")],
        "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
        "decision_log": log,
    })


def of_sink(server, what):
    return Metrics(server).count(f"decision_sink_{what}", sink=SINK)


def wait_until_delivered(server, count):
    """Seconds until so many have been delivered or dropped."""
    begun = shown = time.monotonic()
    while True:
        settled = of_sink(server, "delivered") + of_sink(server, "dropped")
        if settled >= count:
            return time.monotonic() - begun
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            say(f"  {settled:,} of {count:,} delivered")
        if time.monotonic() - begun > BACK_TIMEOUT:
            raise Failure(f"{settled} of {count} decisions were settled in {BACK_TIMEOUT:.0f} s", 1)
        time.sleep(0.2)


def measure(stack, options, request, work):
    spells = {}

    def spell(name, server, seconds):
        say(f"{options.rate}/s for {seconds} s: {name}")
        spells[name] = Spell(server, options, request, seconds, work)

    bare = server_with(stack, options, work, "without", {})
    greet(bare, request)
    spell("no sink", bare, options.quiet)
    bare.stop()

    collector = Collector(options.fault)
    stack.callback(collector.leave)
    collector.come()
    sink = {"type": "http", "name": SINK, "url": collector.url(), "spill_bytes": options.spill,
            "format": "doorward", "upload_size_limit": "1MiB"}
    server = server_with(stack, options, work, "with", {"sinks": [sink]})
    greet(server, request)
    spell("a sink, there", server, options.quiet)
    collector.go_away()
    away = f"the sink {options.fault}"
    spell(away, server, options.seconds)
    held = Metrics(server).gauge("decision_sink_spill_bytes", sink=SINK)
    rss = server.rss()
    collector.come()
    spell("the sink is back", server, options.quiet)
    # h2load does not count what is answered while it ends.
    answered = 1 + sum(spells[name].answered for name in spells if name != "no sink")
    decisions = Metrics(server).count("decisions")
    if not answered <= decisions <= answered + len(spells) * CONNECTIONS * STREAMS:
        raise Failure(f"{answered} checks were answered, and {decisions} decisions are counted", 1)
    took = wait_until_delivered(server, decisions)
    dropped = of_sink(server, "dropped")
    missing = decisions - len(collector.seen)
    if missing != dropped or of_sink(server, "received") != decisions:
        raise Failure(f"{missing} of {decisions} decisions did not come, and {dropped} are counted as dropped", 1)
    return {
        "spells": {name: spells[name].numbers() for name in spells},
        "rows": [spells[name].shown(name) for name in spells],
        "decisions": decisions,
        "came": collector.received,
        "dropped": dropped,
        "spill_bytes": held,
        "rss_bytes": rss,
        "seconds_until_delivered": took,
    }


def report(result):
    head = ("checks while", "p50", "p99", "p99.9", "max", "CPU")
    return (table(head, result.pop("rows"))
            + f"\n\n{result['decisions']:,} decisions: {result['decisions'] - result['dropped']:,} came, "
            f"{result['came'] - result['decisions'] + result['dropped']:,} of them twice; {result['dropped']:,} lost "
            f"and counted as lost. {mebibytes(result['spill_bytes'])} were on disk when the sink came back, "
            f"{mebibytes(result['rss_bytes'])} resident; delivered {result['seconds_until_delivered']:.0f} s after "
            "the last check")


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    os.sched_setaffinity(0, {options.cores[1]})
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-sinks-", dir=".")))
        request = work.absolute() / "request"
        request.write_bytes(grpc_request())
        result = measure(stack, options, request, work.absolute())
    finish(options, report(result), result)


if __name__ == "__main__":
    end(main)
