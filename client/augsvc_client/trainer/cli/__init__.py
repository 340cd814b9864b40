"""The `augsvc-train` command."""
