"""The check that every server gets, and what it answers: as much of protobuf as that takes."""

import re

from common import GRPC_HEADERS, ROOT, Failure, last_lines, run

POLICIES = ROOT / "policies" / "quickstart"
METHOD = "/envoy.service.auth.v3.Authorization/Check"


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


def request_headers(token, path="/headers"):
    return {
        ":authority": "httpbin.foo:8000",
        ":method": "GET",
        ":path": path,
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


def grpc_request(path="/headers"):
    """A CheckRequest as Istio's sidecar would send it for `curl httpbin.foo:8000/headers`, in its gRPC frame."""
    headers = request_headers((POLICIES / "demo.jwt").read_text().strip(), path)
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
