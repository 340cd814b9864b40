"""Displacements between the nodes of a lattice, in float64: each step is elementwise, so a sample's do not depend on others."""

import numpy as np
import torch

from augsvc.numerics.lattice import NODE_BITS, STEP_BITS, SUPPORT, Lattice


def displace(lattice: Lattice, width: int, rows: slice, device: torch.device) -> torch.Tensor:
    """The displacements of a canvas's pixels, float64 (n, 2, rows, width): x y, in pixels."""
    nodes = torch.from_numpy(lattice.nodes).to(device).permute(0, 3, 1, 2).double() / float(1 << NODE_BITS)
    cell, weights = _weights(np.arange(rows.start, rows.stop), lattice.steps[1], lattice.cubic, device)
    lines = _sum([nodes[:, :, cell + k] * weights[k][:, None] for k in range(SUPPORT)])
    cell, weights = _weights(np.arange(width), lattice.steps[0], lattice.cubic, device)
    return _sum([lines[:, :, :, cell + k] * weights[k] for k in range(SUPPORT)])


def _weights(pixels: np.ndarray, step: int, cubic: bool, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The first node that each pixel of an axis depends on, and the weights of four (4, pixels).

    B(x) is the cardinal B-spline: (4 − 6x² + 3|x|³) / 6 within one node, (2 − |x|)³ / 6 within two; or 1 − |x|.
    """
    position = (torch.from_numpy(pixels).to(device).double() + 0.5) * (step / float(1 << STEP_BITS))
    cell = position.floor()
    distance = torch.stack([(position - cell - (k - 1)).abs() for k in range(SUPPORT)])
    if cubic:
        near = (4.0 - 6.0 * distance * distance + 3.0 * distance * distance * distance) / 6.0
        far = (2.0 - distance).clamp_min(0.0)
        return cell.long(), torch.where(distance < 1.0, near, far * far * far / 6.0)
    return cell.long(), (1.0 - distance).clamp_min(0.0)


def _sum(terms: list[torch.Tensor]) -> torch.Tensor:
    """In a fixed order."""
    return (terms[0] + terms[1]) + (terms[2] + terms[3])
