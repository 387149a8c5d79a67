"""The commands of the stack's child processes, the ports they listen on, and an environment without a way to AWS."""

import os
import socket
import sys
from pathlib import Path

from infra.local.template import REGION

HOST = "127.0.0.1"

_TIED = Path(__file__).with_name("tied.py")


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` and ends with this process, however this process ends."""
    return [sys.executable, "-P", str(_TIED), str(os.getpid()), module, *arguments]


def free_port() -> int:
    """Return a port of this machine that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def aws_environment(endpoint: str) -> dict[str, str]:
    """Return what an AWS client needs to reach `endpoint` and nothing else.

    It is meant to be the whole environment of a child, or nearly: no profile, proxy or key of the caller's is in it.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint,
    }
