#!/usr/bin/env python3
"""Whether every acknowledged push is there after kill -9, again and again on one store.

Three writers push at a constant rate together: a bundle, a set of native policies, and a Rego module with data
of its own beside it. At a random moment the server is killed, and one time in ten its next start too, before it
is done. Then it is started again, and must have

  - every revision that was acknowledged, under its number and with the digest of what was sent, and besides
    only pushes that were on their way, one a writer
  - exactly the content that these pushes make, of every entry, so none in parts
  - the same again when it is rolled back to one of them, chosen at random
  - an audit log whose chain is whole, and a store from which nothing had to be left out

The first that is not so ends the run, with code 1 and the store left for a look. In the end the file passes
SQLite's own integrity check.

What the process had handed to the operating system survives its end, so this does not show what a power
failure leaves: that is up to fsync, which every push waits for.

Build first: cargo build --release --locked

Exit codes: 0 all ran, 1 a server answered wrongly, 2 usage, 3 something is missing or could not be started.
"""

import contextlib
import hashlib
import http.client
import itertools
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from bundles import archive, manifest  # noqa: E402
from common import Failure, check_machine, end, finish, option_parser, positive, say, table  # noqa: E402
from measure import call, expect, summary  # noqa: E402
from servers import launch  # noqa: E402

TOOLS = (("taskset", "util-linux"),)

KILLED_IN_START = 0.1
SHORTEST_SECONDS = 0.02
POLICIES = 10
# Sizes of what is pushed differ, so that kills hit different steps of the write.
SIZES = (0, 1_000, 4_000, 16_000, 48_000)
PROGRESS_SECONDS = 15


def parse(arguments):
    parser = option_parser(__doc__)
    parser.add_argument("--kills", type=positive, default=1000, help="default %(default)s")
    parser.add_argument("--rate", type=positive, default=50, help="pushes a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5,
                        help="of pushes between two kills, on average (default %(default)s)")
    return parser.parse_args(arguments)


# What is pushed: the number of a push says all of its content.


def filler(number):
    """Text that does not compress."""
    return random.Random(number).randbytes(SIZES[number % len(SIZES)] // 2).hex()


def document(number):
    return {"push": number, "filler": filler(number)}


class Bundle:
    action = "put_bundle"

    def request(self, number):
        files = [manifest(number, "main"), ("main/data.json", json.dumps(document(number)))]
        return "PUT", "/v1/bundles/main", archive(files)

    def found(self, server):
        """The content there is, in the form of `content`."""
        status, answer = call(server.management, "GET", "/v1/bundles/main")
        revision = json.loads(answer)["revision"] if status == 200 else None
        return revision, value(server, "main")

    def content(self, number):
        return (str(number), document(number)) if number else (None, None)


class Policies:
    action = "put_resources"

    def request(self, number):
        policies = (
            {
                "apiVersion": "security.istio.io/v1",
                "kind": "AuthorizationPolicy",
                "metadata": {"name": f"p{at}", "namespace": "kills", "annotations": {"push": str(number)}},
                "spec": {"rules": [{"to": [{"operation": {"paths": [f"/{number}/{at}"]}}]}]},
            }
            for at in range(POLICIES)
        )
        return "PUT", "/v1/resources", "\n---\n".join(map(json.dumps, policies))

    def found(self, server):
        resources = json.loads(expect(server, 200, "GET", "/v1/resources"))["resources"]
        return sorted(
            (found["metadata"]["name"], found["metadata"]["annotations"]["push"],
             found["spec"]["rules"][0]["to"][0]["operation"]["paths"][0])
            for found in (one["resource"] for one in resources)
        )

    def content(self, number):
        return [(f"p{at}", str(number), f"/{number}/{at}") for at in range(POLICIES)] if number else []


class Module:
    action = "put_policy"

    def request(self, number):
        return "PUT", "/v1/policies/kills", f"package kills\n\nmade := {json.dumps(document(number))}\n"

    def found(self, server):
        return value(server, "kills/made")

    def content(self, number):
        return document(number) if number else None


class Data:
    action = "put_data"

    def request(self, number):
        return "PUT", "/v1/data/pushed", json.dumps(document(number))

    def found(self, server):
        return value(server, "pushed")

    def content(self, number):
        return document(number) if number else None


KINDS = (Bundle(), Policies(), Module(), Data())


def value(server, path):
    return json.loads(expect(server, 200, "GET", f"/v1/data/{path}")).get("result")


class Push:
    def __init__(self, kind, number):
        self.kind, self.number = kind, number
        self.method, self.path, body = kind.request(number)
        self.body = body.encode() if isinstance(body, str) else body
        self.sha256 = hashlib.sha256(self.body).hexdigest()
        self.is_answered = False
        # Of the snapshot, where the answer says it.
        self.revision = None

    def send(self, server):
        status, answer = call(server.management, self.method, self.path, self.body)
        if status not in (200, 204):
            raise Failure(f"{self.method} {self.path} was answered {status}: {answer.decode(errors='replace')}", 1)
        self.revision = json.loads(answer or "{}").get("snapshot")
        self.is_answered = True


class Writer(threading.Thread):
    """Pushes one kind until the server is gone."""

    def __init__(self, server, kind, interval, numbers, is_killed):
        super().__init__(daemon=True)
        self.server, self.kind, self.interval = server, kind, interval
        self.numbers, self.is_killed = numbers, is_killed
        self.pushes, self.failure = [], None

    def run(self):
        due = time.perf_counter() + random.uniform(0, self.interval)
        while not self.is_killed.wait(max(0, due - time.perf_counter())):
            push = Push(self.kind, next(self.numbers))
            self.pushes.append(push)
            try:
                push.send(self.server)
            except (OSError, http.client.HTTPException) as error:
                if not self.is_killed.is_set():
                    self.failure = Failure(f"a push was not answered: {error!r}", 1)
                return
            except Failure as failure:
                self.failure = failure
                return
            # What is late is not made up for.
            due = max(due + self.interval, time.perf_counter())


class Run:
    """One store, and what must be in it."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        most = int(options.rate * options.seconds * 2)
        # All that comes between two kills is kept, and what is older is pruned.
        self.history = max(100, 2 * most)
        self.settings = {
            "store": {"history": self.history, "audit": max(1000, 4 * most)},
            "decision_log": {"enabled": False},
        }
        self.numbers = itertools.count(1)
        self.revision = 0
        # By kind, the push whose content is there; 0 for none.
        self.state = dict.fromkeys(KINDS, 0)
        self.start_times, self.pushing_seconds = [], 0.0
        self.counts = Counter()

    def go(self):
        told = time.monotonic()
        with contextlib.ExitStack() as stack:
            server = self.start(stack)
            while self.counts["kills"] < self.options.kills:
                writers = self.push_until_killed(server)
                if random.random() < KILLED_IN_START and self.counts["kills"] < self.options.kills:
                    self.kill_in_start()
                # Nothing is left to stop of the one before.
                stack.close()
                server = self.start(stack)
                self.verify(server, writers)
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    say(f"{self.counts['kills']:,} of {self.options.kills:,} kills, "
                        f"{self.counts['acknowledged']:,} pushes acknowledged: all there")
        self.check_file()
        return self.result()

    def start(self, stack):
        begun = time.perf_counter()
        server = launch(stack, self.options, self.work, "doorward", self.settings)
        server.wait_for_ready_line()
        self.start_times.append((time.perf_counter() - begun) * 1e3)
        return server

    def kill_in_start(self):
        with contextlib.ExitStack() as stack:
            server = launch(stack, self.options, self.work, "doorward", self.settings)
            time.sleep(random.uniform(0, self.start_times[-1] / 1e3))
            server.kill()
        self.counts["kills"] += 1
        self.counts["in_start"] += 1

    def push_until_killed(self, server):
        is_killed = threading.Event()
        interval = len(KINDS) / self.options.rate
        writers = [Writer(server, kind, interval, self.numbers, is_killed) for kind in KINDS]
        for writer in writers:
            writer.start()
        seconds = random.uniform(SHORTEST_SECONDS, 2 * self.options.seconds)
        time.sleep(seconds)
        is_killed.set()
        server.kill()
        for writer in writers:
            writer.join()
        for writer in writers:
            if writer.failure:
                raise server.failure(str(writer.failure))
        self.counts["kills"] += 1
        self.pushing_seconds += seconds
        return writers

    def verify(self, server, writers):
        if json.loads(expect(server, 200, "GET", "/v1/status"))["store"]:
            raise server.failure("the store had damage")
        states = self.states(server, writers)
        newest = max(states)
        self.compare(server, states[newest], f"revision {newest}")
        audit = json.loads(expect(server, 200, "GET", "/v1/audit?limit=1"))
        if not audit["chain"]["intact"]:
            raise server.failure(f"the audit log is not whole: {audit['chain']}")
        self.revision, self.state = newest, states[newest]
        if len(states) > 1:
            self.roll_back(server, random.choice(list(states)), states)

    def states(self, server, writers):
        """What must be there at each revision since the last time, that one included."""
        answer = json.loads(expect(server, 200, "GET", "/v1/revisions"))
        revisions = sorted(answer["revisions"], key=lambda one: one["number"])
        found = [one["number"] for one in revisions]
        newest = max(found, default=0)
        if found != list(range(max(1, newest - self.history + 1), newest + 1)) or answer["active"] != newest:
            raise Failure(f"revision {answer['active']} is active, and there are {found}", 1)
        new = [one for one in revisions if one["number"] > self.revision]
        made = {}
        for writer in writers:
            mine = [one for one in new if one["action"] == writer.kind.action]
            made.update(self.match(writer, mine))
        if len(made) != len(new):
            raise Failure(f"there are revisions that nobody pushed: {new}", 1)
        states = {self.revision: self.state}
        for number in sorted(made):
            push = made[number]
            states[number] = {**states[number - 1], push.kind: push.number}
        return states

    def match(self, writer, found):
        """A writer's revisions with their pushes: all that were acknowledged, and at most the one after."""
        acknowledged = sum(push.is_answered for push in writer.pushes)
        if not acknowledged <= len(found) <= len(writer.pushes):
            raise Failure(f"of {acknowledged} acknowledged by {writer.kind.action} there are {found}", 1)
        for push, one in zip(writer.pushes, found):
            is_its_own = (push.revision in (None, one["number"])
                          # Of data none is noted.
                          and one.get("sent_sha256", push.sha256) == push.sha256)
            if not is_its_own:
                raise Failure(f"push {push.number}, revision {push.revision}, is found as {one}", 1)
        self.counts["acknowledged"] += acknowledged
        self.counts["on_their_way"] += len(writer.pushes) - acknowledged
        self.counts["of_which_there"] += len(found) - acknowledged
        return {one["number"]: push for push, one in zip(writer.pushes, found)}

    def compare(self, server, state, what):
        for kind, number in state.items():
            found, expected = kind.found(server), kind.content(number)
            if found != expected:
                raise Failure(f"{what}: of {kind.action} there is {found!r:.300}, not {expected!r:.300}", 1)

    def roll_back(self, server, number, states):
        if number == 0:
            return
        answer = json.loads(expect(server, 200, "POST", f"/v1/revisions/{number}/rollback"))
        self.revision, self.state = answer["snapshot"], states[number]
        self.compare(server, self.state, f"rolled back to {number}")
        self.counts["rolled_back"] += 1

    def check_file(self):
        with contextlib.closing(sqlite3.connect(self.work / "doorward" / "policy.db")) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchall()
        if said != [("ok",)]:
            raise Failure(f"SQLite says of the file: {said}", 1)

    def result(self):
        return {
            **{name: self.counts[name] for name in COUNTS},
            "lost": 0,
            "torn": 0,
            "pushes_a_second": self.counts["acknowledged"] / self.pushing_seconds,
            "start_ms": summary(self.start_times),
        }


COUNTS = ("kills", "in_start", "acknowledged", "on_their_way", "of_which_there", "rolled_back")


def report(result):
    start = result["start_ms"]
    rows = [
        ("kills", f"{result['kills']:,}"),
        ("… of them during a start", f"{result['in_start']:,}"),
        ("pushes a second", f"{result['pushes_a_second']:.1f}"),
        ("pushes that were acknowledged", f"{result['acknowledged']:,}"),
        ("… lost", result["lost"]),
        ("pushes on their way at a kill", f"{result['on_their_way']:,}"),
        ("… there afterwards, whole", f"{result['of_which_there']:,}"),
        ("… torn", result["torn"]),
        ("rolled back to, and whole", f"{result['rolled_back']:,}"),
        ("start to ready, p50", f"{start['p50']:.0f} ms"),
        ("… p99", f"{start['p99']:.0f} ms"),
    ]
    return table(("", ""), rows)


def main():
    options = parse(sys.argv[1:])
    check_machine(options, TOOLS)
    work = Path(tempfile.mkdtemp(prefix="doorward-kills-"))
    try:
        result = Run(options, work).go()
    except Failure as failure:
        # What went wrong is to be found there.
        raise Failure(f"{failure}\nleft in {work}", failure.code) from failure
    except BaseException:
        shutil.rmtree(work)
        raise
    shutil.rmtree(work)
    finish(options, report(result), result)


if __name__ == "__main__":
    end(main)
