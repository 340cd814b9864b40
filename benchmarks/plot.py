"""The pipeline's table as bar charts."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.tables import measured


def plot(results: dict[str, Any], path: Path) -> None:
    """Images per second with the quartiles of the rounds, and the ratio to Kornia."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6))
    for panel, (case, rows) in zip(axes, results["pipeline"].items(), strict=True):
        for position, row in enumerate(measured(rows)):
            low, high = row["quartiles"]
            speed = row["images_per_s"]
            panel.barh(
                row["who"],
                speed,
                color="#c0392b" if row["who"] == "fused" else "#8395a7",
                xerr=[[speed - low], [high - speed]],
            )
            if row["to_kornia"]:
                panel.text(high, position, f"  {row['to_kornia']['wall']:.1f}×", va="center")
        panel.set_title(f"{case}: images/s (× Kornia)")
        panel.margins(x=0.18)
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
