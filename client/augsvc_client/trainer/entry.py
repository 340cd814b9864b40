"""Entry point of the `augsvc-train` command. The trainer needs packages that the client alone does not."""

import sys

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

        app()
    except ModuleNotFoundError as err:
        package = (err.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        sys.stderr.write(f"augsvc-train needs {package} for that: install augsvc-client[{_EXTRAS[package]}]\n")
        sys.exit(2)


if __name__ == "__main__":  # torchrun -m runs this module
    main()
