"""`sam build` for one processor: skipped when no source changed, and read back as functions with their layers."""

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
ARCHITECTURES = ("x86_64", "arm64")
SAM = ROOT / "build" / "tools" / "sam" / "bin" / "sam"

_STAMP = "sources.sha256"


class BuildFailed(RuntimeError):
    """`sam build` did not succeed; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Built:
    """One function as `sam build` left it: what becomes /var/task, and the layers that become /opt, in order."""

    name: str
    logical_id: str
    handler: str
    code: Path
    layers: tuple[Path, ...]


def host_architecture() -> str:
    """Return the processor of this machine, as Lambda spells it."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def build_folder(architecture: str) -> Path:
    """Return where `build` puts the functions: for x86_64 the folder that `sam deploy` reads by itself."""
    return _work(architecture) / ".aws-sam" / "build"


def functions(architecture: str, template: Path = TEMPLATE) -> dict[str, Built]:
    """Return the template's functions by folder name, in the template's order, as built for `architecture`."""
    source = yaml_parse(template.read_text())
    shared = source.get("Globals", {}).get("Function", {})
    folder = build_folder(architecture)
    found = {}
    for logical_id, resource in source["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        properties = {**shared, **resource["Properties"]}
        name = Path(properties["CodeUri"]).name
        layers = tuple(folder / layer["Ref"] for layer in properties.get("Layers", []))
        found[name] = Built(name, logical_id, properties["Handler"], folder / logical_id, layers)
    return found


def sources_digest(architecture: str) -> str:
    """Return a digest of everything that `sam build` reads, so that an unchanged tree is not built again."""
    digest = hashlib.sha256(architecture.encode())
    files = [TEMPLATE, ROOT / "infra" / "dev" / "sam.txt", Path(__file__)]
    for tree in ("functions", "layers"):
        files += [path for path in (ROOT / tree).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted(files):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_built(architecture: str) -> bool:
    """Return whether the last build for `architecture` was made from today's sources."""
    stamp = build_folder(architecture) / _STAMP
    return stamp.exists() and stamp.read_text() == sources_digest(architecture)


def build(architecture: str, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Return the folder with every function and layer built for `architecture`.

    Two builders take turns. The built template accepts no other processor than the one its layers are for.

    Raises:
        BuildFailed: the SAM CLI is not installed, or said why it could not build.
    """
    folder = build_folder(architecture)
    with _turn(architecture):
        digest = sources_digest(architecture)
        if is_built(architecture):
            return folder
        _run_sam_build(architecture, progress)
        _pin_architecture(folder / "template.yaml", architecture)
        (folder / _STAMP).write_text(digest)
    return folder


def sam_environment() -> dict[str, str]:
    """Return the environment for the SAM CLI: this project's Python first, no telemetry, no waiting for AWS."""
    offline = {
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        offline[name] = "unused"  # building and validating call nothing; without these the SAM CLI looks for a profile
    return {**kept, "AWS_DEFAULT_REGION": kept.get("AWS_DEFAULT_REGION", "us-east-1"), **offline}


def _work(architecture: str) -> Path:
    # A working folder each: the SAM CLI clears dependencies that its last build did not use.
    return ROOT if architecture == "x86_64" else ROOT / "build" / architecture


def _run_sam_build(architecture: str, progress: Callable[[str], None]) -> None:
    if not SAM.exists():
        raise BuildFailed(f"{SAM.relative_to(ROOT)} is missing: run `make setup-sam`")
    command = [
        str(SAM), "build", "--cached", "--parallel", "--template-file", str(TEMPLATE), "--base-dir", str(ROOT),
        "--parameter-overrides", f"Architecture={architecture}",
    ]  # fmt: skip
    work = _work(architecture)
    work.mkdir(parents=True, exist_ok=True)
    said = []
    with subprocess.Popen(
        command, cwd=work, env=sam_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if line.startswith(("Building ", "Build ")):
                progress(line.strip())
    if process.returncode != 0:
        raise BuildFailed(f"sam build for {architecture} failed:\n{''.join(said)}")


def _pin_architecture(template: Path, architecture: str) -> None:
    built: dict[str, Any] = yaml.safe_load(template.read_text())
    built["Parameters"]["Architecture"] |= {"Default": architecture, "AllowedValues": [architecture]}
    template.write_text(yaml.safe_dump(built, sort_keys=False, width=120))


@contextmanager
def _turn(architecture: str) -> Iterator[None]:
    lock = ROOT / "build" / f"sam-{architecture}.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Show progress, on standard error."""
    sys.stderr.write(f"  {line}\n")
