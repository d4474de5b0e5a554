#!/usr/bin/env python3
"""What asking for authorization adds to the latency of a request through a real Envoy.

Envoy has one worker and the first core; the server it asks and the load generator (h2load, HTTP/1.1) share the
second, which with so little to do is not where requests wait. Envoy answers by itself, so that no upstream is
measured. Each row is a listener of the same Envoy; a round asks each in turn, and what is added is the
difference to `no ext_authz` of the same round. Shown are medians of the rounds.

Every connection sends its next request when the last was answered. At 20 connections Envoy's core is busy all
the time: the latency is then what 20 requests take of it, the asking included.

  tonic-noop               decodes the check and allows it: the yardstick
  doorward cached          quickstart policies (JWT, native) and Rego bundle, all but the first cache hits
  doorward cached, log on  the same, and every decision recorded

Build first: cargo build --release --locked --bins --examples. Envoy is the one DOORWARD_ENVOY names, or else
that of `tools/envoy_venv.py`.

Exit codes: 0 all ran, 1 an answer was wrong, 2 usage, 3 something is missing or could not be started.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "benches" / "compare"), str(ROOT / "tools")]

import envoy_venv  # noqa: E402
from common import (  # noqa: E402
    HOST, LOG_ON, RELEASE, YARDSTICK, Failure, absolute, check_machine, end, finish, last_lines,
    option_parser, plural, positive, run, say, table,
)
from measure import Metrics, call, h2load_result, percentile  # noqa: E402
from servers import QUICKSTART, Server, greet, start_native, start_plain, started  # noqa: E402
from wire import POLICIES, grpc_request, request_headers  # noqa: E402

PLAIN = "no ext_authz"
CONNECTIONS = (1, 20)
WARM_UP = 1_000

# Program, and the Debian package that has it.
TOOLS = (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux"))


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--noop", type=absolute, default=RELEASE / "examples" / YARDSTICK, metavar="FILE")
    parser.add_argument("--rounds", type=positive, default=5, help="measured rounds (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=1, help="of load a round and row (default %(default)s)")
    return parser.parse_args(arguments)


def envoy_binary():
    given = os.environ.get("DOORWARD_ENVOY")
    try:
        return given or envoy_venv.envoy_path()
    except envoy_venv.Failure as failure:
        raise Failure(str(failure)) from failure


def start_servers(stack, options, work):
    """Those Envoy asks, on the second core, threads of the log included."""
    core = options.cores[1]
    there = argparse.Namespace(**{**vars(options), "cores": (core, core)})
    servers = [start_plain(stack, there, work, YARDSTICK, options.noop)]
    servers += [start_native(stack, there, work, f"doorward cached{and_log}", POLICIES, QUICKSTART, True, log)
                for log, and_log in ((False, ""), (True, LOG_ON))]
    request = work / "check-request.grpc"
    request.write_bytes(grpc_request())
    for server in servers:
        greet(server, request)
    return servers


# === Envoy ===

def start_envoy(stack, options, work, servers):
    """An Envoy, and its port for each case."""
    config, admin = work / "envoy.json", work / "envoy-admin"
    config.write_text(json.dumps(envoy_config(servers)))
    command = [envoy_binary(), "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error",
               "--admin-address-path", admin]
    envoy = started(stack, Server("envoy", options.cores[0], command, work))
    envoy.wait_until(lambda: admin.exists() and admin.read_text(), "open its administration")
    address = admin.read_text().strip()
    envoy.wait_until(lambda: call(address, "GET", "/ready")[0] == 200, "get ready")
    listeners = json.loads(call(address, "GET", "/listeners?format=json")[1])["listener_statuses"]
    return {listener["name"]: listener["local_address"]["socket_address"]["port_value"] for listener in listeners}


def envoy_config(servers):
    return {
        "admin": {"address": socket_address(f"{HOST}:0")},
        "static_resources": {
            "listeners": [listener(PLAIN), *(listener(server.name, server.name) for server in servers)],
            "clusters": [cluster(server) for server in servers],
        },
    }


def listener(name, asked=None):
    filters = [typed("http.router", "http.router.v3.Router")]
    if asked:
        filters.insert(0, typed(
            "http.ext_authz", "http.ext_authz.v3.ExtAuthz", transport_api_version="V3",
            grpc_service={"envoy_grpc": {"cluster_name": asked, "authority": "ext-authz"}, "timeout": "1s"}))
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "here\n"}}}
    manager = typed(
        "network.http_connection_manager", "network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench", http_filters=filters, use_remote_address=True, normalize_path=True,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]})
    return {"name": name, "address": socket_address(f"{HOST}:0"), "filter_chains": [{"filters": [manager]}]}


def typed(name, kind, **config):
    return {"name": f"envoy.filters.{name}",
            "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.filters.{kind}", **config}}


def cluster(server):
    http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}
    endpoint = {"endpoint": {"address": socket_address(server.address)}}
    return {"name": server.name, "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": server.name, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def socket_address(address):
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


# === Load ===

def load(options, work, port, connections, count):
    """Requests through Envoy: their rate, and their latencies in microseconds."""
    log = work / "h2load.log"
    # The proxy says who the client is and how it came; the rest are those of every other bench.
    headers = {name: value for name, value in request_headers((POLICIES / "demo.jwt").read_text().strip()).items()
               if not name.startswith((":", "x-envoy", "x-forwarded"))}
    lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["taskset", "-c", str(options.cores[1]), "h2load", "--h1", "-n", str(count), "-c", str(connections),
               "-N", "30", f"--log-file={log}", *lines, f"http://{HOST}:{port}/headers"]
    said = run(command).stdout.decode(errors="replace")
    result = h2load_result(said)
    if not result or result["succeeded"] != count:
        raise Failure("h2load failed, or not all requests were allowed\n" + last_lines(said), 1)
    times = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
    log.unlink()
    return {"rate": result["rate"], "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


def measure(options, work, ports, servers, connections):
    say(f"{plural(connections, 'connection')}: warm-up, {plural(options.rounds)} of {options.seconds:g} s")
    count = {name: warm_up(options, work, port, connections) for name, port in ports.items()}
    before = {server.name: Metrics(server) for server in servers if server.management}
    rounds = []
    for _ in range(options.rounds):
        rounds.append({name: load(options, work, port, connections, count[name]) for name, port in ports.items()})
        say("  " + ", ".join(f"{name} {result['p50']}/{result['p99']} µs" for name, result in rounds[-1].items()))
        for server in servers:
            server.settle()
    for server in servers:
        if server.management:
            check_decided(server, before[server.name], options.rounds * count[server.name])
    return [row(name, connections, rounds) for name in ports]


def warm_up(options, work, port, connections):
    load(options, work, port, connections, WARM_UP)
    return int(load(options, work, port, connections, WARM_UP)["rate"] * options.seconds) + 1


def check_decided(server, before, count):
    """Rule: every request was a check, and every check a cache hit."""
    now = Metrics(server)
    hits = now.count("decision_cache", result="hit") - before.count("decision_cache", result="hit")
    if hits != count:
        raise Failure(f"{server.name}: {count} requests were allowed, and {hits} decisions came from the cache", 1)


def row(name, connections, rounds):
    def median(value):
        return statistics.median(value(results) for results in rounds)

    def added(results, what, who=name):
        return results[who][what] - results[PLAIN][what]

    found = {"server": name, "connections": connections, "rate": median(lambda results: results[name]["rate"])}
    for what in ("p50", "p99"):
        found[what] = median(lambda results: results[name][what])
        if name != PLAIN:
            found[f"{what}_added"] = median(lambda results: added(results, what))
            found[f"{what}_to_noop"] = median(
                lambda results: added(results, what) / max(1, added(results, what, YARDSTICK)))
    return found


HEADING = ("asked", "connections", "requests/s", "p50 µs", "p99 µs", "added p50", "added p99", "p50 to no-op",
           "p99 to no-op")


def report(numbers):
    def cell(result, name, form=",.0f"):
        return format(result[name], form) if name in result else ""

    rows = [[result["server"], result["connections"], cell(result, "rate"), cell(result, "p50"), cell(result, "p99"),
             cell(result, "p50_added"), cell(result, "p99_added"), cell(result, "p50_to_noop", ".2f"),
             cell(result, "p99_to_noop", ".2f")] for result in numbers["results"]]
    return (f"\n{numbers['envoy']}, one worker; {plural(numbers['rounds'])} of {numbers['seconds']:g} s\n\n"
            + table(HEADING, rows))


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    if not options.noop.exists():
        raise Failure(f"{options.noop} is not there; build it with `cargo build --release --locked --examples`")
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-envoy-")))
        servers = start_servers(stack, options, work)
        ports = start_envoy(stack, options, work, servers)
        results = [row for connections in CONNECTIONS
                   for row in measure(options, work, ports, servers, connections)]
    version = run([envoy_binary(), "--version"]).stdout.decode().strip().rpartition(" ")[2].split("/")
    numbers = {"envoy": f"Envoy {version[1] if len(version) > 1 else version[0]}", "rounds": options.rounds,
               "seconds": options.seconds, "results": results}
    finish(options, report(numbers), numbers)


if __name__ == "__main__":
    end(main)
