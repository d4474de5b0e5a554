#!/usr/bin/env python3
"""Doorward behind a real Envoy in front of a small upstream, shown with five requests.

Starts all three on loopback with examples/quickstart.yaml and deploy/envoy/envoy.yaml, sends the requests
through Envoy, asks Doorward's decision log why each was decided as it was, prints both as a table and stays
up for requests of your own until Ctrl-C. `make run` builds Doorward and calls this.

Exit codes: 0 done, 1 an answer was not the expected one (with --once), 3 something could not be started or
ended before its time.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from envoy_venv import ROOT, Failure, envoy_path

HOST = "127.0.0.1"
DOORWARD_CONFIG = ROOT / "examples" / "quickstart.yaml"
ENVOY_CONFIG = ROOT / "deploy" / "envoy" / "envoy.yaml"
TOKEN_FILE = ROOT / "policies" / "quickstart" / "demo.jwt"

# The ports as they stand in the two configuration files.
PORTS = {"ext_authz": 9191, "management": 8181, "envoy": 10000, "upstream": 10001, "admin": 9901}

READY = re.compile(r"^ready ext_authz=\S+ management=\S+ revision=\d+$", re.MULTILINE)
START_TIMEOUT = 30.0
# Decisions are promised to be visible within 250 ms; the rest is for a busy machine.
DECISIONS_TIMEOUT = 2.0


class Request:
    """One request of the demonstration, the status it should get and, once sent, the one it got."""

    def __init__(self, title, method, path, token, expected):
        self.title, self.method, self.path, self.token = title, method, path, token
        self.expected, self.status, self.decision = expected, None, None

    def send(self, port):
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        self.status, _ = http_call(port, self.method, self.path, headers)


def demonstration():
    token = TOKEN_FILE.read_text().strip()
    signed, _, signature = token.rpartition(".")
    forged = f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    return [
        Request("no token", "GET", "/headers", None, 403),
        Request("forged token", "GET", "/headers", forged, 401),
        Request("good token", "GET", "/headers", token, 200),
        Request("good token", "DELETE", "/headers", token, 403),
        Request("good token", "GET", "/admin/users", token, 403),
    ]


def show(requests, ports):
    # Earlier runs have left their decisions in the same log.
    since = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    for request in requests:
        request.send(ports["envoy"])
    attach_decisions(requests, ports["management"], since)
    print_table(requests)


def attach_decisions(requests, port, since):
    """Gives each request its record in the decision log, as far as they appear in time."""
    query = "/v1/decisions?" + urlencode({"limit": 20, "since": since})
    deadline = time.monotonic() + DECISIONS_TIMEOUT
    while True:
        status, body = http_call(port, "GET", query)
        if status != 200:
            raise Failure(f"the management API answered {status} to GET {query}: {body.strip()}")
        # The log has the newest first, the requests were sent one after the other.
        records = json.loads(body)["decisions"][::-1]
        for request in requests:
            request.decision = take_first(records, request)
        if all(request.decision for request in requests) or time.monotonic() > deadline:
            return
        time.sleep(0.05)


def take_first(records, request):
    for index, record in enumerate(records):
        asked = record["request"]
        if (asked["method"], asked["path"]) == (request.method, request.path):
            return records.pop(index)
    return None


def print_table(requests):
    rows = [["REQUEST", "", "STATUS", "DECIDED BY", "WHY"]]
    for request in requests:
        status = str(request.status)
        if request.status != request.expected:
            status += f" (expected {request.expected})"
        rows.append([f"{request.method} {request.path}", request.title, status, *why(request.decision)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row, request in zip(rows, [None, *requests]):  # None: the heading
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        cells[2] = paint(cells[2], request)
        print("  " + "  ".join(cells).rstrip())


def why(decision):
    """Who decided and the reason, of a record in the decision log."""
    if decision is None:
        return "?", "not in the decision log"
    reason = {key: value for key, value in decision["reason"].items() if value is not None}
    if "policy" in reason:
        decided_by = f"policy {reason['policy']}"
        if "rule" in reason:
            decided_by += f" rule {reason['rule']}"
    elif "entrypoint" in reason:
        decided_by = f"Rego {reason['entrypoint']}"
        if "bundle" in reason:
            decided_by += f" (bundle {reason['bundle']})"
    else:
        decided_by = "Doorward"
    return decided_by, reason.get("message") or reason["kind"].replace("_", " ")


def paint(text, request):
    if request is None or not sys.stdout.isatty():
        return text
    red, green, yellow = 31, 32, 33
    colour = red if request.status != request.expected else green if request.status == 200 else yellow
    return f"\033[{colour}m{text}\033[0m"


def print_addresses(ports):
    envoy, management = f"http://{HOST}:{ports['envoy']}", f"http://{HOST}:{ports['management']}"
    token = TOKEN_FILE.relative_to(ROOT)
    print(f"""
  Envoy           {envoy}
  management API  {management}
  ext_authz       {HOST}:{ports['ext_authz']} (gRPC)

Try, in another terminal:

  curl -si -H "Authorization: Bearer $(cat {token})" {envoy}/headers
  curl -si -X DELETE {envoy}/headers
  curl -s '{management}/v1/decisions?effect=deny&limit=5'

Ctrl-C stops everything.""", flush=True)


class Echo(BaseHTTPRequestHandler):
    """The upstream: answers every request with what arrived."""

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        arrived = {"method": self.command, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(arrived, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass  # Envoy's access log has every request already


class Child:
    """A process of ours. Its output goes to files, so that it never waits for us to read."""

    def __init__(self, name, command, logs):
        self.name = name
        self.out, self.err = logs / f"{name}.stdout.log", logs / f"{name}.stderr.log"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            # A session of its own: Ctrl-C in the terminal reaches this script alone, which then ends its
            # children in order.
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)

    def check(self):
        code = self.process.poll()
        if code is not None:
            raise self.failure(f"{self.name} ended with {code}")

    def wait_until(self, ready, what):
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise self.failure(f"{self.name}: {what} did not come within {START_TIMEOUT:.0f} s")
            time.sleep(0.05)

    def failure(self, text):
        lines = self.err.read_text(errors="replace").splitlines()[-15:]
        return Failure("\n".join([text, f"the end of {self.err}:", *(f"  {line}" for line in lines)]))

    def stop(self):
        self.process.terminate()
        try:
            # A little more than the 10 s that Doorward gives requests in flight.
            self.process.wait(timeout=12)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_upstream(stack, port):
    server = ThreadingHTTPServer((HOST, port), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


def start_doorward(stack, binary, config, logs):
    child = Child("doorward", [binary, "serve", "--config", config], logs)
    stack.callback(child.stop)
    child.wait_until(lambda: READY.search(child.out.read_text(errors="replace")), "its `ready` line")
    return child


def start_envoy(stack, binary, config, logs, ports):
    # Without hot restart Envoy shares no memory region with another Envoy on this machine.
    options = ["--log-level", "warning", "--concurrency", "1", "--disable-hot-restart"]
    child = Child("envoy", [binary, "-c", config, *options], logs)
    stack.callback(child.stop)
    child.wait_until(lambda: envoy_is_live(ports), "its listener")
    return child


def envoy_is_live(ports):
    try:
        socket.create_connection((HOST, ports["envoy"]), timeout=1).close()
        return http_call(ports["admin"], "GET", "/ready")[0] == 200
    except OSError:
        return False


def require_free(ports):
    for name, port in ports.items():
        with socket.socket() as probe:
            # As the servers do; else a connection closed a moment ago would still count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                advice = "stop what listens there, or take other ports with --free-ports"
                raise Failure(f"port {port} ({name}): {error.strerror}; {advice}") from error


def free_ports():
    with contextlib.ExitStack() as stack:
        # All held at once, so that no two are the same.
        probes = {name: stack.enter_context(socket.socket()) for name in PORTS}
        for probe in probes.values():
            probe.bind((HOST, 0))
        return {name: probe.getsockname()[1] for name, probe in probes.items()}


def configs_for(ports, folder):
    """The two configuration files; copies with other ports and another data folder where ports differ."""
    if ports == PORTS:
        return DOORWARD_CONFIG, ENVOY_CONFIG
    doorward, envoy = DOORWARD_CONFIG.read_text(), ENVOY_CONFIG.read_text()
    for name in ("ext_authz", "management"):
        doorward = replace_once(doorward, f"listen: {HOST}:{PORTS[name]}", f"listen: {HOST}:{ports[name]}")
    doorward = replace_once(doorward, "data_dir: ./data/quickstart", f"data_dir: {folder / 'data'}")
    for name in ("ext_authz", "envoy", "upstream", "admin"):
        envoy = replace_once(envoy, f"port_value: {PORTS[name]} ", f"port_value: {ports[name]} ")
    copies = folder / "doorward.yaml", folder / "envoy.yaml"
    copies[0].write_text(doorward)
    copies[1].write_text(envoy)
    return copies


def replace_once(text, old, new):
    # Anything but one place means that the file and this script no longer agree.
    if text.count(old) != 1:
        raise Failure(f"expected exactly one `{old}` in the example configuration")
    return text.replace(old, new)


def http_call(port, method, path, headers=None):
    """Status and body. No urllib: it would send requests for loopback to a configured proxy."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"port {port}: {error!r}") from error
    finally:
        connection.close()


def run(stack, options, folder):
    ports = free_ports() if options.free_ports else PORTS
    require_free(ports)
    if not shutil.which(str(options.binary)):
        raise Failure(f"{options.binary} is missing; `cargo build --release --locked` makes it")
    envoy_binary = envoy_path()
    doorward_config, envoy_config = configs_for(ports, folder)
    start_upstream(stack, ports["upstream"])
    doorward = start_doorward(stack, options.binary, doorward_config, folder)
    envoy = start_envoy(stack, envoy_binary, envoy_config, folder, ports)
    requests = demonstration()
    try:
        show(requests, ports)
        if options.once:
            return 0 if all(r.status == r.expected and r.decision for r in requests) else 1
        print_addresses(ports)
        while True:
            doorward.check()
            envoy.check()
            time.sleep(0.5)
    except OSError:
        # A request without an answer: a process that is gone says more about it than the connection does.
        doorward.check()
        envoy.check()
        raise


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "doorward")
    parser.add_argument("--once", action="store_true", help="stop after the table")
    parser.add_argument("--free-ports", action="store_true", help="free ports and a temporary data folder")
    options = parser.parse_args()
    options.binary = options.binary.absolute()  # children run in the top folder, not in ours
    return options


def main():
    options = parse_options()
    # The same for a closed terminal and `kill` as for Ctrl-C: KeyboardInterrupt, hence a clean end.
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for stop in stops:
        signal.signal(stop, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="doorward-quickstart-"))
    code = 0
    with contextlib.ExitStack() as stack:
        try:
            code = run(stack, options, folder)
        except KeyboardInterrupt:
            print("\nstopping", flush=True)
            code = 1 if options.once else 0  # no table, no answer
        except (Failure, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            code = 3
        # From here on nothing may interrupt the stopping of what was started.
        for stop in stops:
            signal.signal(stop, signal.SIG_IGN)
    if options.once and code == 0 or not any(folder.iterdir()):
        shutil.rmtree(folder)
    else:
        print(f"logs: {folder}", file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
