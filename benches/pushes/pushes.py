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

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from bundles import archive, manifest, rules  # noqa: E402
from common import (  # noqa: E402
    CONNECTIONS, GRPC_HEADERS, Failure, check_machine, end, finish, last_lines, option_parser, say, table,
)
from measure import Metrics, expect, summary  # noqa: E402
from servers import greet, start_with  # noqa: E402
from wire import grpc_request, url  # noqa: E402

QUIET_SECONDS = 10
STREAMS = 20  # a connection, so that a slow answer does not hold back the next request

# Program, and the Debian package that has it.
TOOLS = (("h2load", "nghttp2-client"), ("nghttp", "nghttp2-client"), ("taskset", "util-linux"))


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--pushes", type=int, default=100, help="default %(default)s")
    parser.add_argument("--rate", type=int, default=2000, help="checks a second (default %(default)s)")
    parser.add_argument("--rules", type=int, default=1000, help="in the pushed bundle (default %(default)s)")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="of its Rego (default %(default)s)")
    parser.add_argument("--others", type=int, default=10_000, help="rules beside it (default %(default)s)")
    return parser.parse_args(arguments)


def bundle(options, revision, allow):
    """The bundle that decides: the probe by its revision, and everything else the same way always."""
    verdict = ('package envoy.authz\n\ndefault allow := true\n\n'
               f'allow := {str(allow).lower()} if input.attributes.request.http.path == "/probe"\n')
    files = [manifest(revision, "envoy/authz", "pushed"), ("policy.rego", verdict)]
    files += rules("pushed", options.rules, options.bytes // options.rules)
    return archive(files)


def put(server, name, body):
    expect(server, 200, "PUT", f"/v1/bundles/{name}", body)


PROBE = json.dumps({"attributes": {"request": {"http": {"method": "GET", "path": "/probe"}}}})


def probe(server):
    """Whether a check is allowed that the pushed bundle decides."""
    answer = expect(server, 200, "POST", "/v1/check", PROBE)
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
    command = ["taskset", "-c", str(options.cores[1]), "h2load", "-D", str(seconds), "-c", str(CONNECTIONS),
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


def measure(server, options, request, work):
    bundles = {allow: bundle(options, allow, allow) for allow in (True, False)}
    put(server, "others", archive([manifest(1, "others"), *rules("others", options.others, 200)]))
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
    rows = []
    for name, key, factor in (
        ("push to answer", "answered_ms", 1),
        ("push to first decision", "decided_ms", 1),
        ("a check, nothing else", "checks_quiet_us", 1e3),
        ("a check, during pushes", "checks_during_pushes_us", 1e3),
    ):
        times = (result[key][what] / factor for what in ("p50", "p99", "max"))
        rows.append([name, *(f"{time:,.2f} ms" for time in times)])
    return (f"{result['pushes']} pushes of {result['archive_bytes']:,} bytes, compressed\n\n"
            + table(("", "p50", "p99", "max"), rows))


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-pushes-")))
        request = work / "request"
        request.write_bytes(grpc_request())
        server = start_with(stack, options, work, "doorward", {
            "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
            "decision_log": {"enabled": False},
        })
        result = measure(server, options, request, work)
    finish(options, report(result), result)


if __name__ == "__main__":
    end(main)
