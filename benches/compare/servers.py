"""The servers under test: each a process on one core, with a configuration of its own in a folder of its own."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from common import HOST, ROOT, YARDSTICK, Failure, last_lines, say
from measure import call
from wire import POLICIES, ask, status_code

BUNDLE = ROOT / "bundles" / "quickstart"
REGO = Path(__file__).resolve().parent / "policies"

START_TIMEOUT = 60.0
STEP = 0.005
STOP_TIMEOUT = 10.0
SETTLE_TIMEOUT = 20.0
SETTLE_STEP = 0.2


class Server:
    """A process under test. Its output goes to files, so that it never waits for us to read."""

    def __init__(self, name, core, command, work):
        self.name = name
        self.address = self.management = None
        self.rss_start = self.answer_bytes = 0
        self.out, self.err = (work / f"{name.replace(' ', '-')}.{kind}" for kind in ("stdout", "stderr"))
        # Without our own settings, which would override the configuration, and without backtraces: with them
        # the parser of Rego notes a stack for each alternative that it gives up.
        inherited = {key: value for key, value in os.environ.items()
                     if not key.startswith(("DOORWARD__", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"))}
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
            time.sleep(STEP)

    def wait_for_ready_line(self):
        """Until it has its ports, which it takes when all local policy is loaded."""
        pattern = re.compile(r"^ready ext_authz=(\S+)(?: management=(\S+) revision=\d+)?\n", re.MULTILINE)
        found = self.wait_until(lambda: pattern.search(self.out.read_text()), "get ready")
        self.address, self.management = found.groups()

    def wait_until_ready(self):
        """Until it says so: its bundles have been downloaded as well."""
        self.wait_until(lambda: call(self.management, "GET", "/readyz")[0] == 200, "get ready")

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

    def cpu_seconds(self):
        return self.cpu_ticks() / os.sysconf("SC_CLK_TCK")

    def rss(self):
        return self.memory("VmRSS")

    def peak(self):
        """The most it ever had resident."""
        return self.memory("VmHWM")

    def memory(self, what):
        self.check()
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024

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
                self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()


def start_noop(stack, options, work):
    server = started(stack, Server(YARDSTICK, options.cores[0], [options.noop, f"{HOST}:0", "1"], work))
    server.wait_for_ready_line()
    return server


def start_doorward(stack, options, work, name, bundle, cache):
    return start_with(stack, options, work, name, {
        "policies": [str(POLICIES)],
        "bundles": {"quickstart": {"path": str(BUNDLE)}} if bundle else {},
        "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
        "cache": {} if cache else {"max_bytes": "0B"},
    })


def start_rego(stack, options, work, policy):
    return start_with(stack, options, work, f"doorward rego {policy.stem}", {
        "policies": [str(policy)],
        "cache": {"max_bytes": "0B"},
        "decision_log": {"enabled": False},
    })


def start_with(stack, options, work, name, settings):
    server = launch(stack, options, work, name, settings)
    server.wait_for_ready_line()
    return server


def launch(stack, options, work, name, settings):
    """A Doorward that has only begun to start."""
    data = work / name.replace(" ", "-")
    config = {
        "ext_authz": {"listen": f"{HOST}:0"},
        "management": {"listen": f"{HOST}:0"},
        "data_dir": str(data),
        "shutdown": {"grace": "2s"},
        **settings,
    }
    file = data.with_suffix(".yaml")
    file.write_text(json.dumps(config, indent=2))  # JSON is YAML
    command = [options.binary, "serve", "--config", file]
    return started(stack, Server(name, options.cores[0], command, work))


def start_opas(stack, options, work, binary, policies):
    """OPA's plugin with the quickstart's rules, and once more with every Rego policy."""
    found = shutil.which(binary)
    if not found:
        raise Failure(f"OPA_ENVOY_BIN={binary} is not an executable file")
    quickstart = work / "opa"
    shutil.copytree(BUNDLE, quickstart)
    (quickstart / "bench.rego").write_text(opa_policy())
    asked = [("opa-envoy", quickstart, "bench/authz/allow")]
    asked += [(f"opa-envoy rego {policy.stem}", policy, "envoy/authz/allow") for policy in policies]
    return [start_opa(stack, options, work, Path(found).absolute(), *what) for what in asked]


def start_opa(stack, options, work, binary, name, policy, path):
    api, grpc = (f"{HOST}:{free_port()}" for _ in range(2))
    config = work / f"{name.replace(' ', '-')}.json"
    config.write_text(json.dumps({"plugins": {"envoy_ext_authz_grpc": {"addr": grpc, "path": path}}}))
    command = [binary, "run", "--server", f"--addr={api}", f"--config-file={config}",
               "--log-level=error", "--disable-telemetry", policy]
    server = started(stack, Server(name, options.cores[0], command, work))
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
    policies = sorted(path for path in options.rego.iterdir() if path.is_dir() or path.suffix == ".rego")
    servers += [start_rego(stack, options, work, policy) for policy in policies]
    opa = os.environ.get("OPA_ENVOY_BIN")
    if opa:
        servers += start_opas(stack, options, work, opa, policies)
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
