"""What the command `augsvc-train` starts with: the trainer needs packages that the client alone does without."""

import sys

_EXTRA = ("torch", "safetensors", "typer", "rich", "matplotlib", "pydantic", "yaml")  # of augsvc-client[train]


def main() -> None:
    """Run the trainer; without its packages say in one line what to install, and exit with 2."""
    try:
        from augsvc_client.trainer.cli import app
    except ModuleNotFoundError as err:
        package = (err.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        sys.stderr.write(f"augsvc-train needs {package}: install augsvc-client[train]\n")
        sys.exit(2)
    app()


if __name__ == "__main__":  # as torchrun -m starts it
    main()
