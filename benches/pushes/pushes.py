#!/usr/bin/env python3
"""How long a push takes to come into effect while checks go on, and what checks notice of it.

A server that holds many other Rego rules is asked at a constant rate by h2load. First nothing else happens;
then a bundle is pushed again and again, each push changing one verdict. Told are the times from sending a
bundle to the answer 200 and to the end of the first check after it, which must be decided by what was pushed,
and the latency of the checks of both spells. No check may fail.

Server and pushes share one core, the load generator has another, unless --cores says otherwise.

Build first: cargo build --release --locked

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from common import CONNECTIONS, GRPC_HEADERS, RELEASE, Failure, last_lines, say  # noqa: E402
from measure import Metrics, call, percentile  # noqa: E402
from servers import greet, start_with  # noqa: E402
from wire import grpc_request, url  # noqa: E402

QUIET_SECONDS = 10
STREAMS = 20  # a connection, so that a slow answer does not hold back the next request
RULES_IN_A_FILE = 500


def parse(arguments):
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=RELEASE / "doorward", help="the doorward program")
    parser.add_argument("--pushes", type=int, default=100, help="default %(default)s")
    parser.add_argument("--rate", type=int, default=2000, help="checks a second (default %(default)s)")
    parser.add_argument("--rules", type=int, default=1000, help="in the pushed bundle (default %(default)s)")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="of its Rego (default %(default)s)")
    parser.add_argument("--others", type=int, default=10_000, help="rules beside it (default %(default)s)")
    parser.add_argument("--cores", default="0,1", metavar="SERVER,LOAD", help="default %(default)s")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args(arguments)
    options.cores = options.cores.split(",")
    return options


def rules(package, count, size):
    """Files of Rego with so many rules of so many bytes each, none of which decides anything."""
    for first in range(0, count, RULES_IN_A_FILE):
        text = f"package {package}\n\n"
        for number in range(first, min(first + RULES_IN_A_FILE, count)):
            head = f'rule_{number} if {{\n\tinput.parsed_path == ["r{number}"]\n\tinput.parsed_query.who[0] in {{'
            names = max(1, (size - len(head)) // 20)
            listed = ", ".join(f'"user-{number:06}-{name:05}"' for name in range(names))
            text += f"{head}{listed}}}\n}}\n\n"
        yield f"{package.replace('.', '/')}/{first}.rego", text


def bundle(options, revision, allow):
    """The bundle that decides: the probe by its revision, and everything else the same way always."""
    manifest = {"revision": str(revision), "roots": ["envoy/authz", "pushed"]}
    verdict = ('package envoy.authz\n\ndefault allow := true\n\n'
               f'allow := {str(allow).lower()} if input.attributes.request.http.path == "/probe"\n')
    files = [(".manifest", json.dumps(manifest)), ("policy.rego", verdict)]
    files += rules("pushed", options.rules, options.bytes // options.rules)
    return archive(files)


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def put(server, name, body):
    status, answer = call(server.management, "PUT", f"/v1/bundles/{name}", body)
    if status != 200:
        raise Failure(f"{server.name} answered {status} to a push: {answer.decode(errors='replace')}", 1)


PROBE = json.dumps({"attributes": {"request": {"http": {"method": "GET", "path": "/probe"}}}})


def probe(server):
    """Whether a check is allowed that the pushed bundle decides."""
    status, answer = call(server.management, "POST", "/v1/check", PROBE)
    if status != 200:
        raise Failure(f"{server.name} answered {status} to a check: {answer.decode(errors='replace')}", 1)
    return json.loads(answer)["decision"]["effect"] == "allow"


def push(server, body, allow):
    """Milliseconds to the answer, and to the end of the first check."""
    begun = time.perf_counter()
    put(server, "pushed", body)
    answered = time.perf_counter()
    if probe(server) != allow:
        raise Failure(f"{server.name} answered 200 to a push that is not in effect", 1)
    return (answered - begun) * 1e3, (time.perf_counter() - begun) * 1e3


@contextlib.contextmanager
def load(server, options, request, seconds, log):
    """Checks at a constant rate, from before what is done inside until after it."""
    command = ["taskset", "-c", options.cores[1], "h2load", "-D", str(seconds), "-c", str(CONNECTIONS),
               "-m", str(STREAMS), f"--rps={options.rate // CONNECTIONS}", f"--log-file={log}", "-d", request,
               *GRPC_HEADERS, url(server.address)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        time.sleep(1)
        yield
        said = process.communicate()[0].decode(errors="replace")
    if process.returncode or " 0 failed, 0 errored, 0 timeout" not in said:
        raise Failure("h2load failed, or not all checks succeeded\n" + last_lines(said), 1)


def latencies(log, begun, ended):
    """Of checks sent between two moments, in microseconds."""
    rows = (line.split("\t") for line in log.read_text().splitlines())
    return [int(row[2]) for row in rows if begun * 1e6 <= int(row[0]) <= ended * 1e6]


def summary(times):
    if not times:
        raise Failure("there were no checks to measure", 1)
    return {"count": len(times), "p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "max": max(times)}


def measure(server, options, request, work):
    bundles = {allow: bundle(options, allow, allow) for allow in (True, False)}
    put(server, "others", archive([(".manifest", '{"roots": ["others"]}'), *rules("others", options.others, 200)]))
    push(server, bundles[True], True)
    warm = max(push(server, bundles[allow], allow)[1] for allow in (False, True))
    greet(server, request)
    failed = Metrics(server).count("decisions", effect="deny")
    log = work / "h2load.log"
    say(f"checks at {options.rate}/s for {QUIET_SECONDS} s")
    with load(server, options, request, QUIET_SECONDS + 2, log):
        begun = time.time()
        time.sleep(QUIET_SECONDS)
        ended = time.time()
    quiet = latencies(log, begun, ended)
    say(f"the same during {options.pushes} pushes")
    times = []
    # Longer than they can take; what comes after them is left out.
    with load(server, options, request, int(options.pushes * warm * 3 / 1e3) + 5, log):
        begun = time.time()
        for turn in range(options.pushes):
            allow = turn % 2 == 1
            times.append(push(server, bundles[allow], allow))
        ended = time.time()
    busy = latencies(log, begun, ended)
    denied = Metrics(server).count("decisions", effect="deny") - failed
    # The probes that were to be denied, and nothing else.
    if denied != (options.pushes + 1) // 2:
        raise Failure(f"{denied} checks were denied", 1)
    return {
        "archive_bytes": len(bundles[True]),
        "pushes": options.pushes,
        "answered_ms": summary([answered for answered, _ in times]),
        "decided_ms": summary([decided for _, decided in times]),
        "checks_quiet_us": summary(quiet),
        "checks_during_pushes_us": summary(busy),
        "rss_bytes": server.rss(),
    }


def report(result):
    lines = [f"{result['pushes']} pushes of {result['archive_bytes']:,} bytes, compressed", "",
             f"| {'':<28} | {'p50':>9} | {'p99':>9} | {'max':>9} |", f"|{'-' * 30}|{('-' * 10 + ':|') * 3}"]
    for name, key, unit, factor in (
        ("push to answer", "answered_ms", "ms", 1),
        ("push to first decision", "decided_ms", "ms", 1),
        ("a check, nothing else", "checks_quiet_us", "ms", 1e3),
        ("a check, during pushes", "checks_during_pushes_us", "ms", 1e3),
    ):
        row = result[key]
        values = " | ".join(f"{row[what] / factor:6.2f} {unit}" for what in ("p50", "p99", "max"))
        lines.append(f"| {name:<28} | {values} |")
    return "\n".join(lines)


def main(arguments):
    options = parse(arguments)
    for tool, package in (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux")):
        if not shutil.which(tool):
            raise Failure(f"{tool} is not there; the Debian package is {package}")
    if not options.binary.exists():
        raise Failure(f"{options.binary} is not there; build it with `cargo build --release --locked`")
    # With it Rust notes where each error came from, which the parser of Rego takes many times as long for.
    os.environ.pop("RUST_BACKTRACE", None)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-pushes-")))
        request = work / "request"
        request.write_bytes(grpc_request())
        server = start_with(stack, options, work, "doorward", {
            "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
            "decision_log": {"enabled": False},
        })
        result = measure(server, options, request, work)
    print(report(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failure as failure:
        print(f"pushes.py: {failure}", file=sys.stderr)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(130)
