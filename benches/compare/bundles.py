"""Bundles to push, made up: their archives, and Rego and data of any size."""

import io
import json
import tarfile

RULES_IN_A_FILE = 500
DEPARTMENTS = ("engineering", "finance", "legal", "marketing", "operations", "research", "sales", "support")
REGIONS = ("ap-south", "eu-central", "eu-west", "us-east", "us-west")


def archive(files):
    """The archive of a bundle of these files, each a name and a text."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files:
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def manifest(revision, *roots):
    return ".manifest", json.dumps({"revision": str(revision), "roots": roots})


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


def directory(size, random):
    """A document with about so many bytes of JSON: people, as a directory of them would list them."""
    people, length = {}, 0
    while length < size:
        name = f"{random.randrange(16**10):010x}"
        person = {
            "name": f"{name[:4].title()} {name[4:].title()}",
            "department": random.choice(DEPARTMENTS),
            "roles": random.sample(("reader", "writer", "auditor", "approver", "owner"), random.randrange(1, 4)),
            "region": random.choice(REGIONS),
            "level": random.randrange(1, 12),
            "active": random.random() < 0.95,
        }
        people[f"user-{name}"] = person
        length += len(json.dumps(person)) + len(name) + 11
    return {"people": people}
