#!/usr/bin/env python3
"""How long a start takes with much policy stored, and how much memory.

Over the API a server is pushed bundles with Rego and large data, documents of their own, and native policies.
It is stopped, and started again from what it has stored: once a round, in a process of its own. Told are the
time until /readyz is 200, the most memory that was ever resident, and what is
resident once nothing is left to do. A check that reads the pushed data must be decided as before.

The file is in the page cache. The server has one core unless --cores says otherwise.

Build first: cargo build --release --locked

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import contextlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from bundles import archive, directory, manifest, rules  # noqa: E402
from common import (  # noqa: E402
    Failure, check_machine, end, finish, mebibytes, option_parser, plural, positive, say, table,
)
from measure import expect  # noqa: E402
from servers import start_with  # noqa: E402

TOOLS = (("taskset", "util-linux"),)

# Of the data, what is not in bundles but pushed as documents of their own.
DOCUMENTS_SHARE = 0.1
DOCUMENT_BYTES = 1_000_000
POLICIES_A_PUSH = 1000
POLICIES_A_NAMESPACE = 10

DECIDES = """package envoy.authz

default allow := false

allow if data.b0.people[input.attributes.request.http.headers["x-user"]]
"""


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--policies", type=positive, default=10_000, help="native ones (default %(default)s)")
    parser.add_argument("--bytes", type=positive, default=100_000_000, help="of data, as JSON (default %(default)s)")
    parser.add_argument("--bundles", type=positive, default=10, help="that hold most of it (default %(default)s)")
    parser.add_argument("--rules", type=int, default=1000, help="of Rego in the bundles (default %(default)s)")
    parser.add_argument("--rounds", type=positive, default=3, help="starts (default %(default)s)")
    return parser.parse_args(arguments)


def namespace(number):
    return f"team-{number // POLICIES_A_NAMESPACE:04}"


def policy(number, version=1):
    """One of a mesh's: who may call which paths of a workload."""
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": f"service-{number}", "namespace": namespace(number),
                     "annotations": {"version": str(version)}},
        "spec": {
            "selector": {"matchLabels": {"app": f"service-{number}"}},
            "action": "ALLOW",
            "rules": [
                {
                    "from": [{"source": {"principals": [f"cluster.local/ns/{namespace(number)}/sa/frontend"]}}],
                    "to": [{"operation": {"methods": ["GET", "POST"], "paths": ["/api/*", f"/v1/{number}/*"]}}],
                },
                {
                    "from": [{"source": {"namespaces": ["monitoring"]}}],
                    "to": [{"operation": {"methods": ["GET"], "paths": ["/metrics"]}}],
                },
            ],
        },
    }


def push_all(server, options):
    """Gives somebody whom the pushed data knows."""
    random = Random(1)
    people = directory(options.bytes * (1 - DOCUMENTS_SHARE) // options.bundles, random)
    somebody = next(iter(people["people"]))
    for number in range(options.bundles):
        name = f"b{number}"
        say(f"bundle {number + 1} of {options.bundles}")
        files = [manifest(1, name), (f"{name}/data.json", json.dumps(people))]
        files += rules(f"{name}.policy", options.rules // options.bundles, 200)
        expect(server, 200, "PUT", f"/v1/bundles/{name}", archive(files))
        people = directory(options.bytes * (1 - DOCUMENTS_SHARE) // options.bundles, random)
    decides = archive([manifest(1, "envoy/authz"), ("policy.rego", DECIDES)])
    expect(server, 200, "PUT", "/v1/bundles/decides", decides)
    say("documents")
    for number in range(int(options.bytes * DOCUMENTS_SHARE / DOCUMENT_BYTES)):
        document = json.dumps(directory(DOCUMENT_BYTES, random))
        expect(server, 204, "PUT", f"/v1/data/documents/d{number}", document)
    say(f"{options.policies} native policies")
    for first in range(0, options.policies, POLICIES_A_PUSH):
        numbers = range(first, min(first + POLICIES_A_PUSH, options.policies))
        text = "\n---\n".join(json.dumps(policy(number)) for number in numbers)
        expect(server, 200, "PUT", "/v1/resources", text)
    return somebody


def probe(server, user):
    """Whether a check is allowed: by the native policies of one workload, and by the data of a bundle."""
    asked = {
        "source": {"principal": f"spiffe://cluster.local/ns/{namespace(0)}/sa/frontend"},
        "context_extensions": {"doorward.namespace": namespace(0), "doorward.labels": "app=service-0"},
        "request": {"http": {"method": "GET", "path": "/v1/0/x", "headers": {"x-user": user}}},
    }
    answer = expect(server, 200, "POST", "/v1/check", json.dumps({"attributes": asked}))
    return json.loads(answer)["decision"]["effect"] == "allow"


def check_all(server, options, somebody):
    if not probe(server, somebody) or probe(server, "nobody"):
        raise Failure(f"{server.name} does not decide by what was pushed", 1)
    status = json.loads(expect(server, 200, "GET", "/v1/status"))
    found = status["resources"], len(status["bundles"])
    if found != (options.policies, options.bundles + 1):
        raise Failure(f"{server.name} has {found[0]} native policies and {found[1]} bundles", 1)
    return status["snapshot"]


def prepare(options, work, settings):
    """Pushes everything, and stops. Gives what that took and what a start is to find."""
    with contextlib.ExitStack() as stack:
        server = start_with(stack, options, work, "doorward", settings)
        somebody = push_all(server, options)
        begun = time.perf_counter()
        expect(server, 200, "PUT", "/v1/resources", json.dumps(policy(0, version=2)))
        push_ms = (time.perf_counter() - begun) * 1e3
        revision = check_all(server, options, somebody)
        peak = server.peak()
    return somebody, revision, {"policy_ms": push_ms, "peak_after_pushes_bytes": peak}


def start(options, work, settings, somebody, revision):
    with contextlib.ExitStack() as stack:
        begun = time.perf_counter()
        server = start_with(stack, options, work, "doorward", settings)
        server.wait_until_ready()
        ready = time.perf_counter()
        peak = server.peak()
        cpu = server.cpu_seconds()
        found = check_all(server, options, somebody)
        if found != revision:
            raise Failure(f"{server.name} is at revision {found} and was stopped at {revision}", 1)
        server.settle()
        return {
            "ready_ms": (ready - begun) * 1e3,
            "cpu_ms": cpu * 1e3,
            "peak_bytes": peak,
            "settled_bytes": server.rss(),
        }


def measure(options, work):
    settings = {"decision_log": {"enabled": False}}
    somebody, revision, pushing = prepare(options, work, settings)
    rounds = []
    for _ in range(options.rounds):
        rounds.append(start(options, work, settings, somebody, revision))
        say(f"ready in {rounds[-1]['ready_ms']:,.0f} ms")
    return {
        "policies": options.policies,
        "rules": options.rules,
        "bundles": options.bundles,
        "data_bytes": options.bytes,
        "store_bytes": (work / "doorward" / "policy.db").stat().st_size,
        **pushing,
        "rounds": rounds,
        **{name: statistics.median(one[name] for one in rounds) for name in rounds[0]},
    }


def report(result):
    rows = [
        ("start to ready", f"{result['ready_ms']:,.0f} ms"),
        ("… of which on the CPU", f"{result['cpu_ms']:,.0f} ms"),
        ("most memory until then", mebibytes(result["peak_bytes"])),
        ("memory once settled", mebibytes(result["settled_bytes"])),
        ("the store's file", mebibytes(result["store_bytes"])),
        ("one policy pushed beside it, before", f"{result['policy_ms']:,.0f} ms"),
        ("most memory while all was pushed, before", mebibytes(result["peak_after_pushes_bytes"])),
    ]
    return (f"{result['policies']:,} native policies, {result['rules']:,} rules of Rego and "
            f"{result['data_bytes']:,} bytes of data, most of it in {plural(result['bundles'], 'bundle')}; "
            f"median of {plural(len(result['rounds']), 'start')}\n\n" + table(("", ""), rows))


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    with tempfile.TemporaryDirectory(prefix="doorward-start-") as work:
        result = measure(options, Path(work))
    finish(options, report(result), result)


if __name__ == "__main__":
    end(main)
