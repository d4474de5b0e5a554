"""Load by h2load, what it says, and what the servers' own counters say to that."""

import contextlib
import http.client
import re
import resource
import statistics
import time

from bundles import archive, manifest
from common import GRPC_HEADERS, LIMIT, LOG_ON, SHADOW, YARDSTICK, Failure, last_lines, plural, run, say
from wire import ask, status_code, url

PUSHES = 50
WARM_UP = 2_000
WARM_UP_SECONDS = 0.4
LATENCY_SECONDS = 0.7
LOG_TIMEOUT = 60.0
LOG_STEP = 0.05


class Metrics:
    """Counters of a Doorward at one moment."""

    def __init__(self, server):
        self.samples = []
        if not server.management:
            return
        text = expect(server, 200, "GET", "/metrics")
        for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text.decode(), re.MULTILINE):
            self.samples.append((name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)))

    def count(self, name, **labels):
        """Sum over all series of a counter that have these labels; 0 if there are none yet."""
        return self.gauge(f"{name}_total", **labels)

    def gauge(self, name, **labels):
        """The same of what has no `_total`."""
        return int(sum(
            value for sample, has, value in self.samples
            if sample == f"doorward_{name}" and labels.items() <= has.items()))

    def summary(self):
        return {
            "allow": self.count("decisions", effect="allow"),
            "deny": self.count("decisions", effect="deny"),
            "cache_hits": self.count("decision_cache", result="hit"),
            "log_written": self.count("decision_log_written"),
            "log_dropped": self.count("decision_log_dropped"),
            "shadowed": self.count("shadow_decisions"),
            "shadow_skipped": self.count("shadow_skipped"),
        }


def call(address, method, path, body=None):
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()


def expect(server, status, method, path, body=None):
    """The body of an answer that must have this status."""
    found, answer = call(server.management, method, path, body)
    if found != status:
        raise Failure(f"{server.name} answered {found} to {method} {path}: {answer.decode(errors='replace')}", 1)
    return answer


def load(server, options, request, streams, count, log=None):
    """One h2load run; gives checks/s, mean and maximum latency in microseconds, the server's CPU time with that
    of its log's thread apart, and records/s until the last one was stored."""
    before, cpu, log_cpu = Metrics(server), server.cpu_seconds(), server.log_seconds()
    command = ["taskset", "-c", str(options.cores[1]), "h2load", "-n", str(count), "-c", str(options.connections),
               "-m", str(streams), "-N", "30", "-d", request, *GRPC_HEADERS, url(server.address)]
    begun, load_cpu = time.monotonic(), children_seconds()
    done = run(command + ([f"--log-file={log}"] if log else []))
    load_cpu = children_seconds() - load_cpu
    recorded = wait_for_log(server, before, begun, count) if server.records else None
    said = done.stdout.decode(errors="replace")
    server.settle()
    result = h2load_result(said)
    if result is None:
        raise Failure("h2load could not be understood\n" + last_lines(said + done.stderr.decode()))
    check_load(server, result, count, Metrics(server).count("decisions") - before.count("decisions"), said)
    log_cpu = server.log_seconds() - log_cpu
    return {**result, "records": recorded, "log_cpu_us": log_cpu * 1e6, "load_cpu_us": load_cpu * 1e6,
            "cpu_us": (server.cpu_seconds() - cpu - log_cpu) * 1e6}


def children_seconds():
    """CPU time of all programs that were run and ended: of load generators."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_log(server, before, begun, count):
    """Records stored a second, from the first check until all are stored or dropped."""
    while time.monotonic() < begun + LOG_TIMEOUT:
        now = Metrics(server)
        written, dropped = (
            now.count(f"decision_log_{what}") - before.count(f"decision_log_{what}") for what in ("written", "dropped"))
        if written + dropped >= count:
            return written / (time.monotonic() - begun)
        time.sleep(LOG_STEP)
    raise Failure(f"{server.name}: of {count} records only {written} were stored in {LOG_TIMEOUT:.0f} s", 1)


def h2load_result(said):
    speed = re.search(r"^finished in \S+, ([\d.]+) req/s", said, re.MULTILINE)
    requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
    codes = re.search(r"^status codes: (\d+) 2xx", said, re.MULTILINE)
    data = re.search(r"\((\d+)\) data$", said, re.MULTILINE)
    times = re.search(r"^time for request:\s+(\S+)\s+(\S+)\s+(\S+)", said, re.MULTILINE)
    if not (speed and requests and codes and data and times):
        return None
    return {
        "rate": float(speed[1]),
        "succeeded": min(int(requests[1]), int(codes[1])),
        "failed": sum(int(requests[group]) for group in (2, 3, 4)),
        "data": int(data[1]),
        "max_us": microseconds(times[2]),
        "mean_us": microseconds(times[3]),
    }


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def check_load(server, result, count, decided, said):
    """Rule: a gRPC error comes with HTTP status 200 and without a message, so bytes and decisions count too."""
    if result["succeeded"] != count or result["failed"]:
        raise Failure(f"{server.name}: not all of {count} requests succeeded\n{last_lines(said)}", 1)
    if result["data"] < 0.99 * count * server.answer_bytes:
        raise Failure(f"{server.name}: {result['data']} bytes in {count} answers, the first alone had "
                      f"{server.answer_bytes}: some were errors", 1)
    if server.management and decided != count:
        raise Failure(f"{server.name}: {count} requests were answered, {decided} decisions counted", 1)


def latencies(server, options, request, streams, count, work):
    """(p50, p99) in microseconds."""
    log = work / "h2load.log"
    load(server, options, request, streams, count, log)
    times = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
    log.unlink()
    return percentile(times, 0.5), percentile(times, 0.99)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summary(times):
    if not times:
        raise Failure("there was nothing to measure", 1)
    return {"count": len(times), "p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "max": max(times)}


def compare(servers, options, request, streams, work):
    """All servers at so many streams a connection: one row of results each."""
    say(f"{plural(streams, 'stream')} a connection: warm-up, {plural(options.rounds)} of {options.seconds:g} s, "
        "latency")
    warm = {server.name: warm_up(server, options, request, streams) for server in servers}
    dropped = {server.name: Metrics(server).count("decision_log_dropped") for server in servers}
    rounds = []
    for _ in range(options.rounds):
        rounds.append({server.name: load(server, options, request, streams, int(warm[server.name] * options.seconds))
                       for server in servers})
        say("  " + ", ".join(f"{name} {result['rate']:,.0f}/s" for name, result in rounds[-1].items()))
    for server in servers:
        dropped[server.name] = Metrics(server).count("decision_log_dropped") - dropped[server.name]
    return [
        row(server, streams, rounds, dropped[server.name],
            latencies(server, options, request, streams, int(warm[server.name] * LATENCY_SECONDS), work))
        for server in servers
    ]


def warm_up(server, options, request, streams):
    """Checks/s, about: so that a round takes all servers the same time."""
    rate = load(server, options, request, streams, WARM_UP)["rate"]
    return load(server, options, request, streams, int(rate * WARM_UP_SECONDS) + WARM_UP)["rate"]


def row(server, streams, rounds, dropped, percentiles):
    mine = [results[server.name] for results in rounds]
    checks = sum(result["succeeded"] for result in mine)
    return {
        "server": server.name,
        "streams": streams,
        "checks_per_second": statistics.median(result["rate"] for result in mine),
        "checks_per_second_rounds": [result["rate"] for result in mine],
        "to_noop": ratio(server.name, YARDSTICK, rounds),
        "to_raw": ratio(server.name, LIMIT, rounds),
        "to_log_off": ratio(server.name, server.name.removesuffix(LOG_ON), rounds) if server.records else None,
        "to_unshadowed": (ratio(server.name, server.name.removesuffix(SHADOW), rounds)
                          if server.name.endswith(SHADOW) else None),
        "p50_us": percentiles[0],
        "p99_us": percentiles[1],
        "mean_us": statistics.median(result["mean_us"] for result in mine),
        "max_us": max(result["max_us"] for result in mine),
        "cpu_us_per_check": sum(result["cpu_us"] for result in mine) / checks,
        "log_cpu_us_per_check": sum(result["log_cpu_us"] for result in mine) / checks if server.records else None,
        "records_per_second": statistics.median(result["records"] for result in mine) if server.records else None,
        "log_dropped": dropped if server.records else None,
        "rss_start_bytes": server.rss_start,
        "rss_after_bytes": server.rss(),
    }


def ratio(name, other, rounds):
    """Rule: both sides are of one round, so that a drift of the machine hits both."""
    ratios = [results[name]["rate"] / results[other]["rate"] for results in rounds if other in results]
    return statistics.median(ratios) if ratios else None


def opa_bundle(allow):
    """A bundle that allows or denies everything."""
    rego = f"package envoy.authz\n\nallow := {str(allow).lower()}\n"
    return archive([manifest(f"allow-{allow}", "envoy/authz"), ("policy.rego", rego)])


def measure_pushes(server, request):
    """Pushes to a server whose own policies allow this request."""
    bundles = {allow: opa_bundle(allow) for allow in (True, False)}
    times = []
    for turn in range(PUSHES):
        allow = turn % 2 == 1  # it is allowed before, so every push changes the answer
        started_at = time.perf_counter()
        expect(server, 200, "PUT", "/v1/bundles/bench", bundles[allow])
        times.append((time.perf_counter() - started_at) * 1e3)
        if (status_code(ask(server.address, request)) == 0) != allow:
            raise Failure(f"{server.name} answered 200 to a push that is not in effect", 1)
    return {"server": server.name, "count": PUSHES,
            "p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99), "times_ms": times}
