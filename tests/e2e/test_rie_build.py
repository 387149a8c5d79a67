"""What `sam build` leaves: a template CloudFormation takes, layers for the processor they are for, within limits."""

import struct
import subprocess

import pytest
import yaml

from infra.build import sam
from infra.build.sizes import weigh

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rie")]

# e_machine of the ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINE = {"x86_64": 62, "arm64": 183}


@pytest.fixture(scope="module", params=sam.ARCHITECTURES)
def architecture(request):
    sam.build(request.param)
    return request.param


def test_the_built_template_has_no_anchors_and_one_processor(architecture):
    text = (sam.build_folder(architecture) / "template.yaml").read_text()
    assert not [event for event in yaml.parse(text) if getattr(event, "anchor", None)]
    processor = yaml.safe_load(text)["Parameters"]["Architecture"]
    assert (processor["Default"], processor["AllowedValues"]) == (architecture, [architecture])


def test_the_built_template_is_valid(architecture):
    command = [
        str(sam.SAM),
        "validate",
        "--lint",
        "--template-file",
        str(sam.build_folder(architecture) / "template.yaml"),
    ]
    done = subprocess.run(command, env=sam.sam_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_library_in_the_layers_is_for_the_processor(architecture):
    found = {}
    for layer in ("CoreLayer", "ServingLayer", "DataLayer"):
        for library in (sam.build_folder(architecture) / layer).rglob("*.so*"):
            header = library.read_bytes()[:20]
            if header[:4] == b"\x7fELF":
                found[library.name] = struct.unpack("<H", header[18:20])[0]
    assert len(found) > 50
    assert {name for name, machine in found.items() if machine != MACHINE[architecture]} == set()


def test_every_function_fits(architecture):
    weights = weigh(sam.functions(architecture).values(), architecture)
    assert len(weights) == 7
    assert {weight.function: weight.mib for weight in weights if weight.is_over} == {}


def test_boto3_is_left_to_the_runtime(architecture):
    for layer in ("CoreLayer", "ServingLayer", "DataLayer"):
        python = sam.build_folder(architecture) / layer / "python"
        assert python.is_dir()
        assert not (python / "boto3").exists()
        assert not (python / "botocore").exists()


def test_nothing_is_built_twice(architecture):
    if not sam.is_built(architecture):
        pytest.skip("a source changed since the fixture built")
    lines = []
    sam.build(architecture, lines.append)
    assert lines == []
