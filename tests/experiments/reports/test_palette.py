"""Whether readers, colour-blind ones too, can tell the policies of a report apart."""

import numpy as np
from numpy.typing import NDArray

from experiments.reports.charts.palette import _LOOKS, looks
from experiments.routers.catalogue import SHOWN

Floats = NDArray[np.float64]

#: Full protanopia, deuteranopia and tritanopia on linear RGB (Machado, Oliveira and Fernandes 2009, table 1).
_EYES = np.array(
    [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> Floats:
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light: Floats) -> Floats:
    x = np.clip(light, 0, 1) @ _XYZ.T / _XYZ.sum(axis=1)
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def test_all_who_are_shown_have_a_look_of_their_own_that_any_eye_tells_apart() -> None:
    assert set(SHOWN) <= set(_LOOKS)
    chosen = looks(SHOWN)
    assert len({(look.dash, look.symbol) for look in chosen.values()}) == len(SHOWN)
    light = np.array([linear(look.colour) for look in chosen.values()])
    seen = lab(np.einsum("eij,pj->epi", _EYES, light))
    apart = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=-1).min(axis=0)
    assert apart[~np.eye(len(SHOWN), dtype=bool)].min() >= 23
    contrast = 1.05 / (light @ _XYZ[1] + 0.05)
    assert contrast.min() >= 2.3
