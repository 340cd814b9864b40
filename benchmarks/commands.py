"""How long commands take to report a mistake, to print their help, or to list what there is: `python -m benchmarks.commands`.

Prints CPU and wall seconds of each, the lower of two runs. The CPU time is the figure on a busy machine.
"""

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

_RUNS = 2
_FILES = {
    "yaml": "port: [",
    "setting": "prot: 1",
    "folder": "port: 0\ndatasets: {pets: {format: image_folder, path: absent}}",
}


def main() -> None:
    """Prints a line for each command."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken, tempfile.TemporaryDirectory() as folder:
        for name, text in _FILES.items():
            (Path(folder) / f"{name}.yaml").write_text(text, encoding="utf-8")
        port = str(taken.getsockname()[1])
        for words in (
            ["augsvc", "--help"],
            ["augsvc", "serve", "--prot", "1"],
            ["augsvc", "serve", "--port", port],
            *(["augsvc", "serve", "--config", f"{name}.yaml"] for name in _FILES),
            ["augsvc", "check", "--config", "folder.yaml"],
            ["augsvc", "doctor", "--config", "setting.yaml"],
            ["augsvc", "recipes"],
            ["augsvc", "datasets"],
            ["augsvc", "ops"],
            ["augsvc-train", "--help"],
            ["augsvc-train", "--epoch", "3"],
            ["augsvc-train", "--url", "http://127.0.0.1:9", "--dataset", "digits/train"],
        ):
            print_times(" ".join(words).replace(port, "BUSY"), words, folder, {})
        print_times(
            "completion",
            ["augsvc"],
            folder,
            {"_AUGSVC_COMPLETE": "complete_bash", "COMP_WORDS": "augsvc re", "COMP_CWORD": "1"},
        )


def print_times(name: str, words: list[str], folder: str, variables: Mapping[str, str]) -> None:
    """Runs a command in the folder, and prints its seconds."""
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    times = []
    for _ in range(_RUNS):
        began_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, env={**os.environ, **variables}, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        times.append((cpu_s, time.perf_counter() - began_s))
    print(f"{name:70} {min(times)[0]:5.2f} CPU s {min(times)[1]:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
