#!/usr/bin/env python3
"""Doorward's speed beside that of a plain tonic server, as whole processes over real connections.

Every server has one core and the load generator (h2load, 4 connections) another; all get the same bytes. A
round asks each server in turn, so that a drift of the machine hits all alike; ratios are taken within a round
and their median is shown. Machines differ: compare ratios, not checks/s, across machines.

  tonic-noop                decodes the request and allows it: what the framework alone costs
  doorward cached           quickstart policies (JWT, native) and Rego bundle; all but the first are cache hits
  doorward uncached         the same, every decision made anew
  doorward native uncached  the policies without the bundle: no Rego
  opa-envoy                 the same rules as one Rego policy, if OPA_ENVOY_BIN names an opa-envoy-plugin binary

Latency is that of a separate run, because its log would slow the generator down; with so many requests waiting
it says how evenly answers come rather than how long one takes. CPU per check counts what a server still does
after the load (writing its decision log) and goes in steps of 10 ms a round. Then a bundle is pushed again and
again: the time from sending it to the answer 200, after which the next check must be decided by it.

Build first: cargo build --release --locked && cargo build --release --locked --example tonic-noop

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / "target" / "release"
POLICIES = ROOT / "policies" / "quickstart"
BUNDLE = ROOT / "bundles" / "quickstart"

HOST = "127.0.0.1"
METHOD = "/envoy.service.auth.v3.Authorization/Check"
YARDSTICK = "tonic-noop"
CONNECTIONS = 4
STREAMS = (1, 20)  # a connection
PUSHES = 50

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
SETTLE_TIMEOUT = 20.0
SETTLE_STEP = 0.2

# Program, and the Debian package that has it.
TOOLS = (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux"))

GRPC_HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


class Failure(Exception):
    """The comparison cannot go on; the text tells why and what to do about it."""

    def __init__(self, text, code=3):
        super().__init__(text)
        self.code = code


# === The request ===


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """One protobuf field: an int, a text, or the bytes of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def peer(address, port, principal):
    socket_address = message((2, address), (3, port))
    return message((1, message((1, socket_address))), (4, principal))


def request_headers(token):
    return {
        ":authority": "httpbin.foo:8000",
        ":method": "GET",
        ":path": "/headers",
        ":scheme": "http",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate, br",
        "authorization": f"Bearer {token}",
        "user-agent": "curl/8.5.0",
        "x-b3-sampled": "1",
        "x-b3-spanid": "e457b5a2e4d86bd1",
        "x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7",
        "x-envoy-attempt-count": "1",
        "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/foo/sa/httpbin;Subject=\"\";"
                                   "URI=spiffe://cluster.local/ns/foo/sa/sleep",
        "x-forwarded-proto": "http",
        "x-request-id": "0c2e6b3e-6f0f-4f2b-9d55-1f5c7a3b9f10",
    }


def grpc_request():
    """A CheckRequest as Istio's sidecar would send it for `curl httpbin.foo:8000/headers`, in its gRPC frame."""
    headers = request_headers((POLICIES / "demo.jwt").read_text().strip())
    asked = message(
        (1, "12345678901234567890"),
        (2, headers[":method"]),
        *((3, message((1, name), (2, value))) for name, value in headers.items()),
        (4, headers[":path"]),
        (5, headers[":authority"]),
        (6, headers[":scheme"]),
        (10, "HTTP/1.1"),
    )
    attributes = message(
        (1, peer("10.1.2.3", 45678, "spiffe://cluster.local/ns/foo/sa/sleep")),
        (2, peer("10.1.2.9", 8000, "spiffe://cluster.local/ns/foo/sa/httpbin")),
        (4, message((1, message((1, 1750000000), (2, 123456789))), (2, asked))),
    )
    check = message((1, attributes))
    return b"\0" + len(check).to_bytes(4, "big") + check


# === The answer ===


def fields(data):
    """The fields of a protobuf message as (number, value); fixed-size ones come as bytes."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(data, at)
        else:
            size, at = read_varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number, shift, at = number | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return number, at


def status_code(answer):
    """`status.code` of a framed CheckResponse: 0 allows."""
    if len(answer) <= 5:
        raise Failure("an answer is empty", 1)
    status = dict(fields(answer[5:])).get(1, b"")
    return dict(fields(status)).get(1, 0)


def ask(address, request):
    """Sends one check; gives the answer's bytes if it came with `grpc-status: 0`."""
    command = ["nghttp", "--timeout=10", "-d", request, "-H", ":method: POST", *GRPC_HEADERS, url(address)]
    said = run([*command, "-nv"]).stdout.decode(errors="replace")
    status = re.search(r"^\[.*\) grpc-status: (\d+)", said, re.MULTILINE)
    if not status or status[1] != "0":
        raise Failure(f"{url(address)} answered no gRPC status 0\n" + last_lines(said), 1)
    return run(command).stdout


def url(address):
    return f"http://{address}{METHOD}"


# === Servers ===


class Server:
    """A process under test. Its output goes to files, so that it never waits for us to read."""

    def __init__(self, name, core, command, work):
        self.name = name
        self.address = self.management = None
        self.rss_start = self.answer_bytes = 0
        self.out, self.err = (work / f"{name.replace(' ', '-')}.{kind}" for kind in ("stdout", "stderr"))
        # Without our own settings, which would override the configuration.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DOORWARD__")}
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            # taskset becomes the server, so the process id is the server's. A session of its own: Ctrl-C in
            # the terminal reaches this script alone, which then ends the servers.
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, command)],
                cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                env={**inherited, "TOKIO_WORKER_THREADS": "1"})

    def wait_until(self, ready, what):
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            self.check()
            answer = ready()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise self.failure(f"{self.name} did not {what} in {START_TIMEOUT:.0f} s")
            time.sleep(0.02)

    def wait_for_ready_line(self):
        pattern = re.compile(r"^ready ext_authz=(\S+)(?: management=(\S+) revision=\d+)?\n", re.MULTILINE)
        found = self.wait_until(lambda: pattern.search(self.out.read_text()), "get ready")
        self.address, self.management = found.groups()

    def check(self):
        code = self.process.poll()
        if code is not None:
            raise self.failure(f"{self.name} ended with {code}")

    def failure(self, text):
        output = self.err.read_text(errors="replace") or self.out.read_text(errors="replace")
        return Failure(f"{text}\n{last_lines(output)}")

    def cpu_ticks(self):
        self.check()
        # The name in parentheses may hold anything; `utime` and `stime` are fields 14 and 15.
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(after_name[11]) + int(after_name[12])

    def rss(self):
        self.check()
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024

    def settle(self):
        """Waits until nothing is left to do, so that it takes no time from the server measured next."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        before = self.cpu_ticks()
        while time.monotonic() < deadline:
            time.sleep(SETTLE_STEP)
            now = self.cpu_ticks()
            if now - before <= 1:
                return
            before = now

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start_noop(stack, options, work):
    server = started(stack, Server(YARDSTICK, options.cores[0], [options.noop, f"{HOST}:0", "1"], work))
    server.wait_for_ready_line()
    return server


def start_doorward(stack, options, work, name, bundle, cache):
    data = work / name.replace(" ", "-")
    config = {
        "ext_authz": {"listen": f"{HOST}:0"},
        "management": {"listen": f"{HOST}:0"},
        "data_dir": str(data),
        "policies": [str(POLICIES)],
        "bundles": {"quickstart": {"path": str(BUNDLE)}} if bundle else {},
        "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
        "cache": {} if cache else {"max_bytes": "0B"},
        "shutdown": {"grace": "2s"},
    }
    file = data.with_suffix(".yaml")
    file.write_text(json.dumps(config, indent=2))  # JSON is YAML
    command = [options.binary, "serve", "--config", file]
    server = started(stack, Server(name, options.cores[0], command, work))
    server.wait_for_ready_line()
    return server


def start_opa(stack, options, work, name):
    binary = shutil.which(name)
    if not binary:
        raise Failure(f"OPA_ENVOY_BIN={name} is not an executable file")
    api, grpc = (f"{HOST}:{free_port()}" for _ in range(2))
    policy, config = work / "opa", work / "opa.json"
    shutil.copytree(BUNDLE, policy)
    (policy / "bench.rego").write_text(opa_policy())
    plugin = {"addr": grpc, "path": "bench/authz/allow"}
    config.write_text(json.dumps({"plugins": {"envoy_ext_authz_grpc": plugin}}))
    command = [Path(binary).absolute(), "run", "--server", f"--addr={api}", f"--config-file={config}",
               "--log-level=error", "--disable-telemetry", policy]
    server = started(stack, Server("opa-envoy", options.cores[0], command, work))
    server.wait_until(lambda: answers(grpc), "listen")
    server.address = grpc
    return server


def opa_policy():
    """What policies/quickstart says, in Rego, in front of the quickstart bundle's policy."""
    keys = re.search(r"\{\"keys\".*?\]\}", (POLICIES / "jwt.yaml").read_text(), re.DOTALL)[0]
    return f"""package bench.authz

default allow := {{"allowed": false}}

allow := data.envoy.authz.allow if {{
	http := input.attributes.request.http
	http.method != "DELETE"
	token := trim_prefix(http.headers.authorization, "Bearer ")
	[valid, _, payload] := io.jwt.decode_verify(token, {{"cert": keys, "iss": "testing@secure.istio.io"}})
	valid
	payload.sub == "testing@secure.istio.io"
}}

keys := `{json.dumps(json.loads(keys))}`
"""


def started(stack, server):
    stack.callback(server.stop)
    return server


def free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def answers(address):
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def start_all(stack, options, work):
    servers = []
    if options.noop.exists():
        servers.append(start_noop(stack, options, work))
    else:
        say(f"skipped {YARDSTICK}, so there are no ratios: {options.noop} is not there; build it with "
            "`cargo build --release --locked --example tonic-noop`")
    for name, bundle, cache in (
        ("doorward cached", True, True),
        ("doorward uncached", True, False),
        ("doorward native uncached", False, False),
    ):
        servers.append(start_doorward(stack, options, work, name, bundle, cache))
    opa = os.environ.get("OPA_ENVOY_BIN")
    if opa:
        servers.append(start_opa(stack, options, work, opa))
    else:
        say("skipped opa-envoy: OPA_ENVOY_BIN is not set")
    return servers


def greet(server, request):
    """Makes sure that what is measured are answers, and notes what they are."""
    server.settle()
    server.rss_start = server.rss()
    answer = ask(server.address, request)
    code = status_code(answer)
    server.answer_bytes = len(answer)
    said = "allow" if code == 0 else f"deny (status code {code})"
    say(f"{server.name} on {server.address} answers: {said}, {len(answer)} bytes")


# === Metrics ===


class Metrics:
    """Counters of a Doorward at one moment."""

    def __init__(self, server):
        self.samples = []
        if not server.management:
            return
        status, text = call(server.management, "GET", "/metrics")
        if status != 200:
            raise Failure(f"{server.name} answered {status} to GET /metrics", 1)
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


# === Load ===


def load(server, options, request, streams, count, log=None):
    """One h2load run; gives checks/s, mean and maximum latency in microseconds and the server's CPU time."""
    before, ticks = Metrics(server).count("decisions"), server.cpu_ticks()
    command = ["taskset", "-c", str(options.cores[1]), "h2load", "-n", str(count), "-c", str(CONNECTIONS),
               "-m", str(streams), "-N", "30", "-d", request, *GRPC_HEADERS, url(server.address)]
    done = run(command + ([f"--log-file={log}"] if log else []))
    said = done.stdout.decode(errors="replace")
    server.settle()
    result = h2load_result(said)
    if result is None:
        raise Failure("h2load could not be understood\n" + last_lines(said + done.stderr.decode()))
    check_load(server, result, count, Metrics(server).count("decisions") - before, said)
    result["cpu_us"] = (server.cpu_ticks() - ticks) * 1e6 / os.sysconf("SC_CLK_TCK")
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


# === Push to effect ===


def opa_bundle(allow):
    """A bundle that allows or denies everything."""
    manifest = {"revision": f"allow-{allow}", "roots": ["envoy/authz"]}
    rego = f"package envoy.authz\n\nallow := {str(allow).lower()}\n"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in ((".manifest", json.dumps(manifest)), ("policy.rego", rego)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def measure_pushes(server, request):
    """Pushes to the native server, whose policies allow this request, so that what Rego says decides."""
    bundles = {allow: opa_bundle(allow) for allow in (True, False)}
    times = []
    for turn in range(PUSHES):
        allow = turn % 2 == 1  # it is allowed before, so every push changes the answer
        started_at = time.perf_counter()
        status, body = call(server.management, "PUT", "/v1/bundles/bench", bundles[allow])
        times.append((time.perf_counter() - started_at) * 1e3)
        if status != 200:
            raise Failure(f"{server.name} answered {status} to a push: {body.decode(errors='replace')}", 1)
        if (status_code(ask(server.address, request)) == 0) != allow:
            raise Failure(f"{server.name} answered 200 to a push that is not in effect", 1)
    return {"server": server.name, "count": PUSHES,
            "p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99), "times_ms": times}


# === Report ===


def report(numbers):
    machine = numbers["machine"]
    print(f"\n{machine['cpu']}, Linux {machine['kernel']}, {machine['h2load']}; {CONNECTIONS} connections, "
          f"{plural(numbers['rounds'])}, request of {numbers['request_bytes']:,} bytes\n")
    print_table(numbers["results"])
    print()
    for name, summary in numbers["decisions"].items():
        print(decision_line(name, summary))
    push = numbers["push"]
    print(f"push to effect ({push['server']}, {push['count']} bundles): p50 {push['p50_ms']:.2f} ms, "
          f"p99 {push['p99_ms']:.2f} ms")
    for name, size in numbers["binary_bytes"].items():
        print(f"binary {name}: {size / 1e6:.1f} MB")


def print_table(results):
    heading = ["server", "streams", "checks/s", f"ratio to {YARDSTICK}", "p50 µs", "p99 µs", "CPU µs/check",
               "RSS start MiB", "RSS after MiB", "log dropped"]
    rows = [heading, *(table_cells(result) for result in results)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(heading))]
    for cells in rows:
        aligned = [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))]
        print("  ".join(aligned))


def table_cells(result):
    ratio, dropped = result["ratio"], result["log_dropped"]
    return [
        result["server"],
        str(result["streams"]),
        f"{result['checks_per_second']:,.0f}",
        "-" if ratio is None else f"{ratio:.2f}",
        *(f"{result[name]:,.0f}" for name in ("p50_us", "p99_us")),
        f"{result['cpu_us_per_check']:.1f}",
        *(f"{result[name] / 2**20:.1f}" for name in ("rss_start_bytes", "rss_after_bytes")),
        "-" if dropped is None else f"{dropped:,}",
    ]


def decision_line(name, summary):
    line = (f"{name}: {summary['allow']:,} allow, {summary['deny']:,} deny, {summary['cache_hits']:,} cache hits; "
            f"decision log: {summary['log_written']:,} written, {summary['log_dropped']:,} dropped")
    lost = summary["allow"] + summary["deny"] - summary["log_written"] - summary["log_dropped"]
    return f"{line}, {lost:,} unaccounted for" if lost else line


def machine():
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "kernel": platform.release(),
        "h2load": run(["h2load", "--version"]).stdout.decode().strip(),
    }


# === The command ===


def run(command):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


def plural(rounds):
    return f"{rounds} round{'s' if rounds > 1 else ''}"


def last_lines(text):
    return "\n".join("  " + line for line in text.strip().splitlines()[-12:])


def say(text):
    # Standard output has the result and nothing else.
    print(text, file=sys.stderr, flush=True)


def parse(arguments):
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=RELEASE / "doorward", help="the doorward program")
    parser.add_argument("--noop", type=Path, default=RELEASE / "examples" / "tonic-noop",
                        help="the tonic-noop program; skipped if it is not there")
    parser.add_argument("--request", type=Path, help="a gRPC-framed CheckRequest to send instead of our own")
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
    say(f"{PUSHES} pushes")
    push = measure_pushes(doors[-1], own_request)
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
    for name in ("binary", "noop", "request"):  # servers run in another folder
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
