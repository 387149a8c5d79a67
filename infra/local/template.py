"""template.yaml as CloudFormation, translated on this machine without AWS."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ACCOUNT = "123456789012"
REGION = "us-east-1"

# The translator accepts artefacts in S3 alone, so a folder travels as the key of an object in this bucket.
_FOLDERS = "local"
_ARTEFACTS = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


def translate(path: Path | str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the SAM template at `path` as CloudFormation, with `parameters` as its parameters' defaults.

    No call leaves the machine. The folder of a function or a layer is found again with `folder`; intrinsics stay,
    and `infra.local.resources.provision` resolves them.

    Raises:
        ValueError: not a SAM template, or `parameters` names one that it lacks.
    """
    path = Path(path)
    template = _parse(path)
    declared = template.get("Parameters", {})
    for name, value in (parameters or {}).items():
        if name not in declared:
            raise ValueError(f"{path} has no parameter {name}; it has {', '.join(sorted(declared)) or 'none'}")
        declared[name]["Default"] = value
    _stage_folders(template, path.parent)
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    try:
        translated: dict[str, Any] = translator.translate(template, parameter_values={}, get_managed_policy_map=dict)
    except InvalidDocumentException as fault:
        raise ValueError(f"{path}: {'; '.join(cause.message for cause in fault.causes)}") from None
    finally:
        translator.metrics.publish()  # to nowhere; unpublished ones are complained about
    return translated


def _parse(path: Path) -> dict[str, Any]:
    try:
        template = yaml_parse(path.read_text())
    except yaml.YAMLError as fault:
        raise ValueError(f"{path} is not YAML: {fault}") from None
    if not isinstance(template, dict) or "Resources" not in template:
        raise ValueError(f"{path} is no template: it has no Resources")
    return template


def _stage_folders(template: dict[str, Any], root: Path) -> None:
    shared = template.get("Globals", {}).get("Function", {})
    places = [(shared, "CodeUri")] + [
        (resource.get("Properties", {}), _ARTEFACTS[resource["Type"]])
        for resource in template["Resources"].values()
        if resource["Type"] in _ARTEFACTS
    ]
    for properties, key in places:
        uri = properties.get(key)
        if isinstance(uri, str) and not uri.startswith("s3://"):
            properties[key] = f"s3://{_FOLDERS}/{os.path.relpath(root / uri, root)}"


def folder(resource: Mapping[str, Any], root: Path) -> Path:
    """Return the folder of a translated function or layer; `root` is the template's folder."""
    return (root / _key(resource)).resolve()


def function_name(resource: Mapping[str, Any]) -> str:
    """Return what a translated function is called everywhere: the name of its folder."""
    return Path(_key(resource)).name


def _key(resource: Mapping[str, Any]) -> str:
    properties = resource["Properties"]
    key: str = (properties.get("Code") or properties["Content"])["S3Key"]
    return key
