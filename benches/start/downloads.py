#!/usr/bin/env python3
"""How long a start takes whose bundles are all downloaded, and how many revisions they make.

A server of HTTP beside gives each its archive at once. Told is the time from the start of the process until
every bundle is active and /readyz is 200, and the number of revisions it took: each is a compilation of all
there is. It is measured also

  one hangs    its server takes the request and does not answer: until all others are active, and from
               when it answers until all are
  one is bad   Rego that does not compile: until all others are active
  kept         again, from what was kept of the last time, while no server answers

The server has one core and what gives the bundles another.

Build first: cargo build --release --locked

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from bundles import archive, directory, manifest, rules  # noqa: E402
from common import (  # noqa: E402
    HOST, Failure, check_machine, end, finish, mebibytes, option_parser, positive, say, table,
)
from measure import expect  # noqa: E402
from servers import start_with  # noqa: E402

TOOLS = (("taskset", "util-linux"),)
# The one that something is wrong with.
ODD = "b0"
# Between two looks at all bundles, so that the looks themselves take little of the core.
LOOK_SECONDS = 0.05


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--bundles", type=positive, default=80, help="default %(default)s")
    parser.add_argument("--rules", type=int, default=20, help="of Rego in each (default %(default)s)")
    parser.add_argument("--bytes", type=int, default=100_000, help="of data in each (default %(default)s)")
    return parser.parse_args(arguments)


class Depot:
    """Gives out archives by name. Some can be kept back until `answers` is set."""

    def __init__(self, archives):
        self.archives = archives
        self.held = ()
        self.answers = threading.Event()
        depot = self

        class Handler(BaseHTTPRequestHandler):
            # As a handler must be called.
            def do_GET(self):  # noqa: N802
                name = self.path.strip("/")
                if name in depot.held:
                    depot.answers.wait()
                body = depot.archives[name]
                with contextlib.suppress(OSError):  # whoever asked may be gone
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

        self.listener = Listener((HOST, 0), Handler)
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answers.set()
        self.listener.shutdown()
        self.listener.server_close()

    def hold(self, names):
        self.held = names
        self.answers.clear()

    def settings(self):
        url = f"http://{HOST}:{self.listener.server_port}"
        return {
            "bundles": {name: {"url": f"{url}/{name}", "timeout": "10m"} for name in self.archives},
            "decision_log": {"enabled": False},
        }


def bundle(options, name, random):
    data = json.dumps(directory(options.bytes, random))
    return archive([manifest(1, name), (f"{name}/data.json", data), *rules(f"{name}.policy", options.rules, 200)])


def active(server):
    bundles = json.loads(expect(server, 200, "GET", "/v1/bundles"))["bundles"]
    return sum(1 for one in bundles if one.get("revision"))


def wait_for(server, count):
    def are_active():
        time.sleep(LOOK_SECONDS)
        return active(server) == count

    server.wait_until(are_active, f"activate {count} bundles")


def revisions(server):
    return json.loads(expect(server, 200, "GET", "/v1/status"))["snapshot"]


def scenario(options, depot, work, name, act):
    """One start, in a folder of its own unless it is to find what another has left."""
    with contextlib.ExitStack() as stack:
        begun = time.perf_counter()
        server = start_with(stack, options, work, name, depot.settings())
        result = act(server, lambda: (time.perf_counter() - begun) * 1e3)
        # What still waits for an answer would hold up the end.
        depot.answers.set()
        result.update(revisions=revisions(server), peak_bytes=server.peak())
        say(f"{name}: {result['active_ms']:,.0f} ms")
        return result


def all_come(server, clock):
    server.wait_until_ready()
    return {"active_ms": clock()}


def measure(options, work):
    random = Random(1)
    good = {f"b{number}": bundle(options, f"b{number}", random) for number in range(options.bundles)}
    bad = {**good, ODD: archive([manifest(1, ODD), ("p.rego", f"package {ODD}\n\np if {{ undefined_function(1) }}\n")])}

    def all_but_one(server, clock):
        wait_for(server, options.bundles - 1)
        return {"active_ms": clock()}

    def late(server, clock):
        result = all_but_one(server, clock)
        result["revisions_before"] = revisions(server)
        before = clock()
        depot.answers.set()
        server.wait_until_ready()
        return {**result, "late_ms": clock() - before}

    def kept(server, clock):
        result = all_come(server, clock)
        if active(server) != options.bundles:
            raise Failure(f"{active(server)} of {options.bundles} bundles are active", 1)
        return result

    with Depot(good) as depot:
        results = {"all": scenario(options, depot, work, "all", all_come)}
        depot.hold(good)
        results["kept"] = scenario(options, depot, work, "all", kept)
        depot.hold([ODD])
        results["hangs"] = scenario(options, depot, work, "hangs", late)
        depot.hold([])
        depot.archives = bad
        results["bad"] = scenario(options, depot, work, "bad", all_but_one)
    return {
        "bundles": options.bundles,
        "archives_bytes": sum(map(len, good.values())),
        "data_bytes": options.bytes * options.bundles,
        "rules": options.rules * options.bundles,
        **results,
    }


def report(result):
    hangs = result["hangs"]
    rows = [
        (text, f"{time_ms:,.0f} ms", count, mebibytes(result[name]["peak_bytes"]))
        for text, name, time_ms, count in (
            ("start to all active", "all", result["all"]["active_ms"], result["all"]["revisions"]),
            ("one hangs: start to all others active", "hangs", hangs["active_ms"], hangs["revisions_before"]),
            ("… and from its answer to all active", "hangs", hangs["late_ms"], hangs["revisions"]),
            ("one is bad: start to all others active", "bad", result["bad"]["active_ms"], result["bad"]["revisions"]),
            ("no server, from what was kept", "kept", result["kept"]["active_ms"], result["kept"]["revisions"]),
        )
    ]
    return (f"{result['bundles']} bundles, together {result['archives_bytes']:,} bytes compressed, "
            f"{result['data_bytes']:,} bytes of data and {result['rules']:,} rules of Rego\n\n"
            + table(("", "time", "revisions by then", "most memory"), rows))


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    os.sched_setaffinity(0, {options.cores[1]})
    with tempfile.TemporaryDirectory(prefix="doorward-downloads-") as work:
        result = measure(options, Path(work))
    finish(options, report(result), result)


if __name__ == "__main__":
    end(main)
