"""Versions of this program and of the libraries whose version can change a score."""

import platform
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "pydicom",
    "SimpleITK",
    "pillow",
    "imagecodecs",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "numpy",
    "scipy",
)


def software_version() -> str:
    """`csi-predictor 0.1.0`."""
    return f"csi-predictor {_version('csi-predictor')}"


def library_versions() -> dict[str, str]:
    """Name -> version, this program and Python first."""
    own = {"csi_predictor": _version("csi-predictor"), "python": platform.python_version()}
    return own | {name: _version(name) for name in _LIBRARIES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
