"""`python -m infra.local`: an empty stack on this machine until Ctrl-C or SIGTERM."""

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

from infra.local.stack import LocalStack

_STATE = Path("build/local")
_PAGES = {"/console": "console", "/shop": "demo shop"}


def main() -> int:
    """Run the stack; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.local", description="An empty stack on this machine until Ctrl-C or SIGTERM."
    )
    parser.add_argument(
        "--port", type=int, default=8787, help="where the API listens on 127.0.0.1 (8787; with make: PORT=8788)"
    )
    parser.add_argument("--template", type=Path, default=Path("template.yaml"), help="the SAM template (template.yaml)")
    options = parser.parse_args()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)  # both unwind the `with` below
    environment = _STATE / "env"
    environment.unlink(missing_ok=True)
    try:
        stack = LocalStack(options.template, port=options.port, state=_STATE)
    except (OSError, ValueError) as fault:
        print(f"{parser.prog}: {fault}", file=sys.stderr)
        return 1
    print("starting", file=sys.stderr)
    try:
        with stack:
            _write_whole(environment, "".join(f"{n}={shlex.quote(v)}\n" for n, v in stack.environment.items()))
            _greet(stack, environment)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    finally:
        environment.unlink(missing_ok=True)
    return 0


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o600)  # it holds keys
    temporary.replace(path)


def _greet(stack: LocalStack, environment: Path) -> None:
    print(f"Beckon is up at {stack.url}. Shop `default`, empty; Ctrl-C ends it and forgets everything.")
    for name, value in stack.keys.items():
        if name != "shop":
            print(f"  {name.replace('_', ' '):18} {value}")
    for path, title in _PAGES.items():
        if any(route.startswith(path) for route in stack.routes):
            print(f"  {title:18} {stack.url}{path}/")
    print(f"  {'shell variables':18} {environment}\n  {'function logs':18} {stack.logs}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
