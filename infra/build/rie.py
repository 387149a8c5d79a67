"""A built function under AWS's runtime interface emulator: nothing importable but what Lambda would have.

The emulator is the binary that `sam local` uses. The interpreter is started without site-packages (`-I -S`), so a
dependency that is missing from the layers fails here as it would in AWS; and without writing bytecode (`-B`), because
/var/task and /opt are read-only there.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.build.sam import ROOT, SAM, Built, host_architecture
from infra.local.processes import HOST, aws_environment, free_port

RUNTIME = ROOT / "build" / "tools" / "runtime"

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is reached without a proxy
_START_SECONDS = 20

# The path is Lambda's: the task, the layers, the standard library, then what the runtime itself brings.
_BOOT = """\
import os, sys
sys.path[:0] = [os.environ["LAMBDA_TASK_ROOT"], os.environ.pop("_BECKON_OPT") + "/python"]
sys.path.append(os.environ["LAMBDA_RUNTIME_DIR"])
os.environ["_HANDLER"] = sys.argv[1]
from awslambdaric.__main__ import main
main(["awslambdaric", sys.argv[1]])
"""
# Ends the emulator when this process ends, however it does: PR_SET_PDEATHSIG, SIGKILL; it survives the exec.
_TIED = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"

# The whole environment beside the function's own: nothing of this process's gets through.
_LAMBDA = aws_environment("http://127.0.0.1:9") | {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
}


class NotRunnable(RuntimeError):
    """A built function cannot be run on this machine; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one invocation returned, and how long the caller waited for it."""

    value: Any
    milliseconds: float

    @property
    def is_error(self) -> bool:
        """Whether the function raised, timed out or could not be loaded: Lambda answers these with `errorType`."""
        return isinstance(self.value, dict) and "errorType" in self.value


@dataclass(frozen=True, slots=True)
class Running:
    """One built function in a process of its own, which its first invocation starts."""

    function: Built
    timeout_seconds: int
    _process: subprocess.Popen[bytes]
    _url: str
    _log: Path

    def invoke(self, event: Any) -> Answer:
        """Return the function's answer to `event`; an exception in the function is an answer too.

        Raises:
            TimeoutError: no answer, though the function's own time-out has passed.
        """
        request = urllib.request.Request(self._url, json.dumps(event).encode(), method="POST")  # noqa: S310  # ours
        started = time.perf_counter()
        try:
            with _DIRECT.open(request, timeout=self.timeout_seconds + _START_SECONDS) as response:
                body = response.read()
        except urllib.error.HTTPError as fault:  # the function's process ended: it could not be imported, or was killed
            body = fault.read()
        except OSError as fault:
            raise TimeoutError(f"{self.function.name} gave no answer: {fault}\n{self.log()}") from fault
        return Answer(_decode(body), (time.perf_counter() - started) * 1000)

    def peak_bytes(self) -> int:
        """Return the most memory that the function's process ever held (VmHWM), 0 before its first invocation."""
        return max((peak for _, peak in _children(self._process.pid)), default=0)

    def log(self) -> str:
        """Return what the function and the emulator have written so far."""
        return self._log.read_text(errors="replace")


@contextmanager
def running(
    function: Built, environment: Mapping[str, str], *, timeout_seconds: int = 60, memory_mb: int = 512
) -> Iterator[Running]:
    """Yield `function` under the emulator, with `environment` beside Lambda's own; it ends with the block.

    Raises:
        NotRunnable: the function is not built, the tools are missing, or this machine is not Linux.
    """
    emulator = _emulator()
    with tempfile.TemporaryDirectory(prefix="beckon-rie-") as scratch:
        folder = Path(scratch)
        boot, log, opt = folder / "bootstrap.py", folder / "log", folder / "opt"
        boot.write_text(_BOOT)
        merge_layers(function.layers, opt)
        address = f"{HOST}:{free_port()}"
        interpreter: str = getattr(sys, "_base_executable", sys.executable)  # the one .venv was made from
        command = [
            sys.executable, "-I", "-c", _TIED, str(emulator),
            "--runtime-interface-emulator-address", address, "--runtime-api-address", f"{HOST}:{free_port()}",
            interpreter, "-I", "-S", "-B", str(boot), function.handler,
        ]  # fmt: skip
        own = {
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
            "LAMBDA_TASK_ROOT": str(function.code),
            "LAMBDA_RUNTIME_DIR": str(RUNTIME),
            "_BECKON_OPT": str(opt),
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=function.code,
                env=_LAMBDA | own | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_start(process, address, log)
            url = f"http://{address}/2015-03-31/functions/function/invocations"
            yield Running(function, timeout_seconds, process, url, log)
        finally:
            _stop(process)


def merge_layers(layers: Sequence[Path], opt: Path) -> None:
    """Make `opt` what Lambda makes of `layers`: one tree, later layers over earlier ones; by links, which cost little.

    Raises:
        NotRunnable: a layer is not built.
    """
    for layer in layers:
        if not layer.is_dir():
            raise NotRunnable(f"layer {layer.name} is not built: run `make build`")
    _overlay(layers, opt)


def _overlay(trees: Sequence[Path], target: Path) -> None:
    target.mkdir()
    for name in sorted({entry.name for tree in trees for entry in tree.iterdir()}):
        found = [tree / name for tree in trees if (tree / name).exists()]
        if len(found) > 1 and all(each.is_dir() for each in found):
            _overlay(found, target / name)
        else:
            (target / name).symlink_to(found[-1].resolve())


def _emulator() -> Path:
    if sys.platform != "linux":
        raise NotRunnable("the emulator runs on Linux; elsewhere start Docker, and `sam local invoke` is used instead")
    tools = SAM.parents[1]
    found = list(tools.glob(f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{host_architecture()}"))
    if not found or not RUNTIME.is_dir():
        raise NotRunnable("the emulator or the runtime's packages are missing: run `make setup-sam`")
    return found[0]


def _await_start(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotRunnable(f"the emulator ended with status {process.returncode}:\n{log.read_text()}")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.01)
    raise NotRunnable(f"the emulator did not start within {_START_SECONDS} s:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the function's process, then the emulator, whose own way of ending takes seconds."""
    for pid, _ in _children(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:  # the emulator's own words, such as "Task timed out after 3.00 seconds", or none
        words = body.decode(errors="replace").strip() or "the function's process ended; its log says why"
        return {"errorType": "Runtime.ExitError", "errorMessage": words}


def _children(parent: int) -> Iterator[tuple[int, int]]:
    """Yield the processes that `parent` started, each with its peak memory in bytes."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            told = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except (FileNotFoundError, ProcessLookupError):  # it ended between the listing and now
            continue
        if int(told["PPid"]) == parent:
            yield int(told["Pid"]), int(told.get("VmHWM", "0 kB").split()[0]) * 1024
