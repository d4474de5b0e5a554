#!/usr/bin/env python3
"""Signs the tokens of example policies, and writes the public key into those policies.

    python3 tools/sign_example_tokens.py policies/istio policies/zero-trust

In each folder, every `tokens/NAME.json` is the payload of `tokens/NAME.jwt`. The key is made for one run and
not kept, so nobody can sign further tokens for the examples: to change or add one, run this again, and all
tokens of the folder are signed anew. A payload whose name begins with `forged` is signed with a key that the
policies do not know. Needs the program `openssl` and nothing else.
"""

import base64
import json
import pathlib
import re
import subprocess
import sys
import tempfile

KEY_ID = "doorward-example"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(
        ["openssl", *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True
    ).stdout


def make_key(path: pathlib.Path) -> str:
    """Makes an RSA key and returns its modulus as a JWK has it."""
    openssl("genrsa", "-out", str(path), "2048")
    modulus = openssl("rsa", "-in", str(path), "-noout", "-modulus").decode().strip()
    return base64url(bytes.fromhex(modulus.removeprefix("Modulus=")))


def sign(payload: object, key: pathlib.Path) -> str:
    header = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, payload))
    signed = ".".join(base64url(part) for part in parts)
    signature = openssl("dgst", "-sha256", "-sign", str(key), data=signed.encode())
    return f"{signed}.{base64url(signature)}"


def sign_folder(folder: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as keys:
        key, other_key = pathlib.Path(keys, "key.pem"), pathlib.Path(keys, "other.pem")
        modulus = make_key(key)
        make_key(other_key)
        for payload in sorted(folder.glob("tokens/*.json")):
            is_forged = payload.name.startswith("forged")
            token = sign(json.loads(payload.read_text()), other_key if is_forged else key)
            payload.with_suffix(".jwt").write_text(token + "\n")
    # The key set stands in the policies as `{"keys": [{…, "kid": "doorward-example", …, "n": "…"}]}`.
    own_key = re.compile(rf'("kid": "{KEY_ID}"[^}}]*"n": )"[^"]*"')
    for policy in sorted(folder.glob("*.yaml")):
        text = policy.read_text()
        policy.write_text(own_key.sub(rf'\g<1>"{modulus}"', text))


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for folder in sys.argv[1:]:
        sign_folder(pathlib.Path(folder))


if __name__ == "__main__":
    main()
