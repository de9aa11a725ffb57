"""`sam build` for this machine, done again only when something that decides its result has changed."""

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from localcloud.environment import ROOT, build_target, host_architecture, host_runtime, isolated_environment
from localcloud.state import StateFolder
from localcloud.steps import Steps, timed

_INPUTS: Final = ("template.yaml", "samconfig.toml", "functions", "statemachine", "localcloud/build.py")


def build_digest(root: Path = ROOT) -> str:
    """Return a hexadecimal digest of everything that decides what `sam build` makes."""
    digest = hashlib.sha256(f"{version('aws-sam-cli')} {host_runtime()} {host_architecture()}".encode())
    for name in _INPUTS:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"\0{path.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def built_template(folder: StateFolder) -> Path:
    """Return where `build` puts the template that `sam deploy` takes."""
    return folder.path / "sam-build" / "template.yaml"


def build(folder: StateFolder, steps: Steps) -> None:
    """Run `sam build`, unless its inputs are those of the last time.

    Raises:
        StepError: it failed.
    """
    digest_file = folder.path / "sam-build.digest"
    digest = build_digest()
    if digest_file.exists() and digest_file.read_text() == digest:
        return
    digest_file.unlink(missing_ok=True)
    target = [f"PythonRuntime={host_runtime()}", f"Architecture={host_architecture()}"]
    with timed("functions built"):
        steps.run(
            "sam-build",
            [
                *sam("build"),
                *("--build-dir", str(built_template(folder).parent), "--parameter-overrides", *target),
            ],
            isolated_environment(None) | build_target() | {"PYTHON": sys.executable},
            ROOT,
        )
    digest_file.write_text(digest)


def sam(command: str) -> list[str]:
    """Return the beginning of a command line of the SAM CLI in this environment."""
    # The configuration is named: `sam` looks for it beside the template, and the built template is elsewhere.
    config = str(ROOT / "samconfig.toml")
    program = str(Path(sys.executable).with_name("sam"))
    return [program, command, "--config-file", config, "--config-env", "local"]
