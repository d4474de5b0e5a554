"""The servers under test: each a process on one core, with a configuration of its own in a folder of its own.
The thread that writes the decision log may have another core."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from common import HOST, LIMIT, LOG_ON, ROOT, SHADOW, YARDSTICK, Failure, last_lines, say
from measure import call, expect, opa_bundle
from wire import POLICIES, ask, status_code

BUNDLE = ROOT / "bundles" / "quickstart"
QUICKSTART = {"quickstart": {"path": str(BUNDLE)}}
REGO = Path(__file__).resolve().parent / "policies"
FIVE_POLICIES = REGO / "native.yaml"
LOG_THREAD = "decision-log"

START_TIMEOUT = 60.0
STEP = 0.005
STOP_TIMEOUT = 10.0
SETTLE_TIMEOUT = 20.0
SETTLE_STEP = 0.2


class Server:
    """A process under test. Its output goes to files, so that it never waits for us to read."""

    def __init__(self, name, cores, command, work):
        """`cores` is one, or several as a text: `0,1`."""
        self.name = name
        self.address = self.management = None
        self.rss_start = self.answer_bytes = 0
        self.records = False
        self.out, self.err = (work / f"{name.replace(' ', '-')}.{kind}" for kind in ("stdout", "stderr"))
        # Without our own settings, which would override the configuration, and without backtraces: with them
        # the parser of Rego notes a stack for each alternative that it gives up.
        inherited = {key: value for key, value in os.environ.items()
                     if not key.startswith(("DOORWARD__", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"))}
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            # taskset becomes the server, so the process id is the server's. A session of its own: Ctrl-C in
            # the terminal reaches this script alone, which then ends the servers.
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cores), *map(str, command)],
                cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                env={**inherited, "TOKIO_WORKER_THREADS": str(len(str(cores).split(",")))})

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

    def log_thread(self):
        """Folder of the thread that writes the decision log, if there is one."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == LOG_THREAD:
                return task
        return None

    def log_seconds(self):
        """CPU time of that thread."""
        task = self.log_thread()
        return int((task / "schedstat").read_text().split()[0]) / 1e9 if task else 0

    def give_log_core(self, core):
        os.sched_setaffinity(int(self.log_thread().name), {core})

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


def start_plain(stack, options, work, name, program):
    """One of the programs that answer every check alike."""
    server = started(stack, Server(name, options.cores[0], [program, f"{HOST}:0", "1"], work))
    server.wait_for_ready_line()
    return server


def start_native(stack, options, work, name, policies, bundles, cache, log):
    """One with policies for the workload that the request is for."""
    server = start_with(stack, options, work, name, {
        "policies": [str(policies)],
        "bundles": bundles,
        "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
        "cache": {} if cache else {"max_bytes": "0B"},
        "decision_log": {"enabled": log},
    })
    server.records = log
    if log:
        server.give_log_core(options.cores[1])
    return server


def start_shadowed(stack, options, work, name, policies):
    """The same with a bundle that is tried out: each check is decided once more, by it as well, if there is time."""
    server = start_native(stack, options, work, name, policies, {}, False, False)
    expect(server, 200, "PUT", "/v1/bundles/trial?mode=shadow", opa_bundle(True))
    return server


def start_rego(stack, options, work, name, policy):
    return start_with(stack, options, work, name, {
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


def quickstart_for_opa(work):
    folder = work / "opa"
    shutil.copytree(BUNDLE, folder)
    (folder / "bench.rego").write_text(opa_policy())
    return folder


def start_opa(stack, options, work, name, binary, policy, path):
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
    """Those that are there and wanted."""
    servers = []
    for name, start, *what in all_servers(options, work):
        if not options.only or any(part in name for part in options.only):
            say(f"starting {name}")
            servers.append(start(stack, options, work, name, *what))
    return servers


def all_servers(options, work):
    """Each a name, how it is started, and with what."""
    for name, program in ((LIMIT, options.raw), (YARDSTICK, options.noop)):
        if program.exists():
            yield name, start_plain, program
        else:
            say(f"skipped {name}, so there are no ratios to it: {program} is not there; build it with "
                f"`cargo build --release --locked --example {name}`")
    for log, and_log in ((False, ""), (True, LOG_ON)):
        yield f"doorward cached{and_log}", start_native, POLICIES, QUICKSTART, True, log
    for log, and_log in ((False, ""), (True, LOG_ON)):
        yield f"doorward native{and_log}", start_native, FIVE_POLICIES, {}, False, log
    yield f"doorward native{SHADOW}", start_shadowed, FIVE_POLICIES
    policies = sorted(path for path in options.rego.iterdir() if path.is_dir() or path.suffix == ".rego")
    for policy in policies:
        yield f"doorward rego {policy.stem}", start_rego, policy
    opa = os.environ.get("OPA_ENVOY_BIN")
    if not opa:
        say("skipped opa-envoy: OPA_ENVOY_BIN is not set")
        return
    found = shutil.which(opa)
    if not found:
        raise Failure(f"OPA_ENVOY_BIN={opa} is not an executable file")
    binary = Path(found).absolute()
    yield "opa-envoy", start_opa, binary, quickstart_for_opa(work), "bench/authz/allow"
    for policy in policies:
        yield f"opa-envoy rego {policy.stem}", start_opa, binary, policy, "envoy/authz/allow"


def greet(server, request):
    """Makes sure that what is measured are answers, and notes what they are."""
    server.settle()
    server.rss_start = server.rss()
    answer = ask(server.address, request)
    code = status_code(answer)
    server.answer_bytes = len(answer)
    said = "allow" if code == 0 else f"deny (status code {code})"
    say(f"{server.name} on {server.address} answers: {said}, {len(answer)} bytes")
