"""Entry point of the `augsvc-train` command. The trainer needs packages that the client alone does not."""

import os
import sys

from augsvc_client.client.environment import job_from_environment

_EXTRAS = {
    **dict.fromkeys(
        ("torch", "safetensors", "scipy", "typer", "rich", "matplotlib", "pydantic", "yaml", "PIL"), "train"
    ),
    **dict.fromkeys(("onnx", "onnxscript", "onnxruntime"), "export"),
    **dict.fromkeys(("soundfile", "soxr"), "sound"),
}


def main() -> None:
    """Run the trainer; if a package is missing, name the extra to install and exit with status 2."""
    try:
        from augsvc_client.trainer.cli.main import app

        # one job in the server's metrics, however many loaders, variants and ranks it has
        os.environ["AUGSVC_JOB"] = os.environ.get("AUGSVC_JOB") or f"train-{job_from_environment()}"
        app()
    except ModuleNotFoundError as err:
        package = (err.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        sys.stderr.write(f"augsvc-train needs {package} for that: install augsvc-client[{_EXTRAS[package]}]\n")
        sys.exit(2)


if __name__ == "__main__":  # torchrun -m runs this module
    main()
