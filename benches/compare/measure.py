"""Load by h2load, what it says, and what the servers' own counters say to that."""

import contextlib
import http.client
import re
import statistics
import time

from bundles import archive, manifest
from common import CONNECTIONS, GRPC_HEADERS, YARDSTICK, Failure, last_lines, plural, run, say
from wire import ask, status_code, url

PUSHES = 50


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
        return int(sum(
            value for sample, has, value in self.samples
            if sample == f"doorward_{name}_total" and labels.items() <= has.items()))

    def summary(self):
        return {
            "allow": self.count("decisions", effect="allow"),
            "deny": self.count("decisions", effect="deny"),
            "cache_hits": self.count("decision_cache", result="hit"),
            "log_written": self.count("decision_log_written"),
            "log_dropped": self.count("decision_log_dropped"),
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
    """One h2load run; gives checks/s, mean and maximum latency in microseconds and the server's CPU time."""
    before, cpu = Metrics(server).count("decisions"), server.cpu_seconds()
    command = ["taskset", "-c", str(options.cores[1]), "h2load", "-n", str(count), "-c", str(CONNECTIONS),
               "-m", str(streams), "-N", "30", "-d", request, *GRPC_HEADERS, url(server.address)]
    done = run(command + ([f"--log-file={log}"] if log else []))
    said = done.stdout.decode(errors="replace")
    server.settle()
    result = h2load_result(said)
    if result is None:
        raise Failure("h2load could not be understood\n" + last_lines(said + done.stderr.decode()))
    check_load(server, result, count, Metrics(server).count("decisions") - before, said)
    result["cpu_us"] = (server.cpu_seconds() - cpu) * 1e6
    return result


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
    count = max(options.requests if streams > 1 else options.requests // 3, CONNECTIONS * streams)
    few = max(count // 5, CONNECTIONS * streams)
    dropped = {server.name: Metrics(server).count("decision_log_dropped") for server in servers}
    say(f"{streams} stream{'s' if streams > 1 else ''} a connection: warm-up, {plural(options.rounds)} of "
        f"{count} requests, latency")
    for server in servers:
        load(server, options, request, streams, few)
    rounds = []
    for _ in range(options.rounds):
        rounds.append({server.name: load(server, options, request, streams, count) for server in servers})
        say("  " + ", ".join(f"{name} {result['rate']:,.0f}/s" for name, result in rounds[-1].items()))
    return [
        row(server, streams, rounds, count,
            latencies(server, options, request, streams, few, work), dropped[server.name])
        for server in servers
    ]


def row(server, streams, rounds, count, percentiles, dropped):
    mine = [results[server.name] for results in rounds]
    rates = [result["rate"] for result in mine]
    ratios = [results[server.name]["rate"] / results[YARDSTICK]["rate"]
              for results in rounds if YARDSTICK in results]
    now_dropped = Metrics(server).count("decision_log_dropped")
    return {
        "server": server.name,
        "streams": streams,
        "requests": count,
        "checks_per_second": statistics.median(rates),
        "checks_per_second_rounds": rates,
        "ratio": statistics.median(ratios) if ratios else None,
        "p50_us": percentiles[0],
        "p99_us": percentiles[1],
        "mean_us": statistics.median(result["mean_us"] for result in mine),
        "max_us": max(result["max_us"] for result in mine),
        "cpu_us_per_check": sum(result["cpu_us"] for result in mine) / (count * len(mine)),
        "rss_start_bytes": server.rss_start,
        "rss_after_bytes": server.rss(),
        "log_dropped": now_dropped - dropped if server.management else None,
    }


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
