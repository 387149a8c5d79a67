"""`python -m infra.lint`: the template as SAM reads it, then as CloudFormation gets it, for both processors.

Linting the SAM source alone is not enough: cfn-lint sees a function's events and globals only once they are translated.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner

from infra.build.sam import ARCHITECTURES, ROOT, SAM, TEMPLATE, sam_environment
from infra.local.template import translate

RULES = ROOT / "infra" / "lint_rules"

# SAM writes a parameter's value where the template has the API's CORS, so its parameter looks unused afterwards.
# tests/infra sees that the source uses every parameter.
_IGNORED = ["W2001"]


def main() -> int:
    """Return 1 if anything was found."""
    found = validate_source()
    for architecture in ARCHITECTURES:
        told = lint_translated(translate(TEMPLATE, {"Architecture": architecture}))
        found += [f"translated for {architecture}: {line}" for line in told]
    for line in found:
        sys.stderr.write(f"{line}\n")
    if not found:
        sys.stderr.write("template.yaml: nothing found, as SAM and as CloudFormation for both processors\n")
    return 1 if found else 0


def validate_source() -> list[str]:
    """Return what `sam validate --lint` finds."""
    if not SAM.exists():
        return [f"{SAM.relative_to(ROOT)} is missing: run `make setup-sam`"]
    command = [str(SAM), "validate", "--lint", "--template-file", str(TEMPLATE)]
    done = subprocess.run(command, env=sam_environment(), capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"sam validate --lint: {done.stdout}{done.stderr}".strip()]


def lint_translated(template: Mapping[str, Any]) -> list[str]:
    """Return what cfn-lint and Beckon's own rules find in a CloudFormation template."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(template, indent=1))
        arguments = ["--template", str(path), "--append-rules", str(RULES), "--ignore-checks", *_IGNORED]
        matches = list(Runner(ConfigMixIn(arguments)).run())
    return [f"{match.rule.id} {match.message} ({_place(match)})" for match in matches]


def _place(match: Any) -> str:
    return "/".join(str(part) for part in getattr(match, "path", None) or [f"line {match.linenumber}"])


if __name__ == "__main__":
    sys.exit(main())
