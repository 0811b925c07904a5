"""A NIfTI-1 file -> a picture or a volume, turned as its orientation says.

The header is read here and not by SimpleITK, which fills a truncated file with zeros, asks for a
certain file name and drops the third direction of a picture; the tests compare the two.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.image import DisplayFacts, Image, SourceFacts
from csi_predictor.data.readers.orientation import turn_to_lps
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError

_HEADER_BYTES = 348
_MAGIC = b"n+1\x00"
_GZIP_MAGIC = b"\x1f\x8b"
_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_COLOURS = (128, 2304)
_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
_LPS = np.array([-1.0, -1.0, 1.0])
"""Signs that turn NIfTI's axes (right, anterior, superior) into DICOM's."""
_DOWN = (0, 1, -1)
"""Sign of 'down the picture' along each of LPS: towards the back, towards the feet."""
_AS_STORED = "no orientation in the file: the volume is taken as it is stored"
_TURNED = "turned by its affine"
_Turned = tuple[NDArray[Any], tuple[int, ...], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Header:
    """The fields of nifti1.h that matter here; `order` is the file's byte order."""

    order: Literal["<", ">"]
    dim: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    vox_offset: float
    scl_slope: float
    scl_inter: float
    xyzt_units: int
    qform_code: int
    sform_code: int
    quaternion: tuple[float, ...]
    sform: NDArray[np.float64]


def is_nifti(head: bytes) -> bool:
    """Whether uncompressed first bytes are a NIfTI-1 header of a single file."""
    return head[344:348] == _MAGIC


def read_nifti(source: Source) -> Image:
    """The stored values of a picture or volume, in display orientation.

    A volume is turned to LPS. A picture, (x, y) or with one axis of length 1, is turned so: the
    axis that runs across the patient becomes the columns; columns that run towards the patient's
    right are reversed, so that the right side lies on the image's left; rows that run towards the
    head or the front are reversed, so that they run down. A picture without a third direction lies
    in the plane of left and front, where down is towards the back: so SimpleITK writes it row by
    row from the top, and dcm2niix from the bottom. A file without orientation codes stays as
    stored in all. The facts' notes say when something was turned, and how oblique a volume is: it
    isn't resampled.

    NaN and infinite pixels are padding. The NIfTI scale (`scl_slope`) is left to the intensity, as
    DICOM's rescale is.

    Raises:
        ImageError: BAD_HEADER, COLOUR, MULTI_FRAME, TOO_LARGE, TRUNCATED or DECODE_FAILED.

    Source:
        nifti1.h of the NIfTI Data Format Working Group, methods 2 (qform) and 3 (sform).
    """
    content = _unzipped(source)
    header = _header(content, source)
    shape = _shape(header, source)
    stored = _stored(content, header, shape, source)
    axes = _axes(header, len(shape))
    turned, file_axes, notes = _turned(stored, axes)
    padding = None
    if stored.dtype.kind == "f" and not np.isfinite(turned).all():
        padding = ~np.isfinite(turned)
        turned = np.where(padding, 0.0, turned)
    return Image(
        pixels=np.ascontiguousarray(turned, np.float32),
        spacing_mm=_spacing_mm(header, file_axes),
        padding=padding,
        has_integer_pixels=stored.dtype.kind in "iu",
        display=_display(header),
        facts=SourceFacts(
            path=source.path,
            format="nifti",
            sha256=hashlib.sha256(source.content).hexdigest(),
            decoder="csi_predictor nifti",
            rows=turned.shape[-2],
            columns=turned.shape[-1],
            notes=notes,
        ),
    )


def _unzipped(source: Source) -> bytes:
    if not source.content.startswith(_GZIP_MAGIC):
        return source.content
    inflator = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = inflator.decompress(source.content, source.max_bytes)
    except zlib.error as error:
        raise ImageError(source.path, "DECODE_FAILED", "the gzip stream is damaged") from error
    if inflator.unconsumed_tail:
        raise ImageError(
            source.path, "TOO_LARGE", f"inflates to more than {source.max_bytes} bytes"
        )
    if not inflator.eof:
        raise ImageError(source.path, "TRUNCATED", "the gzip stream ends early")
    return content


def _header(content: bytes, source: Source) -> _Header:
    if len(content) < _HEADER_BYTES:
        raise ImageError(source.path, "TRUNCATED", "the file ends within the NIfTI header")
    if content[:4] == _HEADER_BYTES.to_bytes(4, "little"):
        order: Literal["<", ">"] = "<"
    elif content[:4] == _HEADER_BYTES.to_bytes(4, "big"):
        order = ">"
    else:
        raise ImageError(source.path, "BAD_HEADER", "sizeof_hdr isn't 348: expected NIfTI-1")

    def fields(types: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + types, content, offset)

    vox_offset, scl_slope, scl_inter = fields("3f", 108)
    qform_code, sform_code = fields("2h", 252)
    return _Header(
        order=order,
        dim=fields("8h", 40),
        datatype=fields("h", 70)[0],
        pixdim=fields("8f", 76),
        vox_offset=vox_offset,
        scl_slope=scl_slope,
        scl_inter=scl_inter,
        xyzt_units=content[123],
        qform_code=qform_code,
        sform_code=sform_code,
        quaternion=fields("3f", 256),
        sform=np.array(fields("12f", 280)).reshape(3, 4),
    )


def _shape(header: _Header, source: Source) -> tuple[int, ...]:
    """Length of each axis in the file's order, x first; without closing axes of length 1."""
    num_axes = header.dim[0]
    if not 1 <= num_axes <= 7:
        raise ImageError(source.path, "BAD_HEADER", f"dim[0] = {num_axes}: expected 2 or 3")
    shape = list(header.dim[1 : 1 + num_axes])
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    source.check_size(*shape)
    if len(shape) > 3:
        raise ImageError(
            source.path, "MULTI_FRAME", f"{len(shape)} axes: expected a picture or one volume"
        )
    if len(shape) < 2 or sum(length > 1 for length in shape) < 2:
        raise ImageError(source.path, "BAD_HEADER", f"size {shape}: expected rows and columns")
    return tuple(shape)


def _stored(
    content: bytes, header: _Header, shape: tuple[int, ...], source: Source
) -> NDArray[Any]:
    """Stored values with the axes in reverse, (y, x) or (z, y, x)."""
    code = header.datatype
    if code not in _DTYPES:
        raise ImageError(
            source.path,
            "COLOUR" if code in _COLOURS else "BAD_HEADER",
            f"datatype = {code}: expected one of {', '.join(map(str, _DTYPES))}",
        )
    dtype = np.dtype(_DTYPES[code]).newbyteorder(header.order)
    offset = header.vox_offset
    if not _HEADER_BYTES <= offset <= len(content):
        raise ImageError(source.path, "BAD_HEADER", f"vox_offset = {offset:g}: expected 352")
    count = int(np.prod(shape))
    present = (len(content) - int(offset)) // dtype.itemsize
    if present < count:
        raise ImageError(source.path, "TRUNCATED", f"{present} values: expected {count}")
    return np.frombuffer(content, dtype, count, int(offset)).reshape(shape[::-1])


def _axes(header: _Header, num_axes: int) -> NDArray[np.float64] | None:
    """(axes, 3) unit direction of each file axis in LPS; None when the file has no orientation."""
    if header.sform_code > 0:
        columns = header.sform[:, :3]
    elif header.qform_code > 0:
        columns = _rotation(header)
    else:
        return None
    norms = np.linalg.norm(columns, axis=0)
    if not (np.isfinite(norms).all() and (norms[:num_axes] > 0).all()):
        return None
    axes: NDArray[np.float64] = (columns / np.where(norms > 0, norms, 1.0)).T[:num_axes] * _LPS
    return axes


def _rotation(header: _Header) -> NDArray[np.float64]:
    """The rotation of the qform's quaternion, with the handedness of `pixdim[0]`."""
    b, c, d = header.quaternion
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    rotation[:, 2] *= -1.0 if header.pixdim[0] < 0 else 1.0
    return rotation


def _turned(stored: NDArray[Any], axes: NDArray[np.float64] | None) -> _Turned:
    """The pixels in display orientation, the file axis of each axis, and what was done."""
    kept = [axis for axis, length in enumerate(stored.shape[::-1]) if length > 1]
    is_picture = stored.ndim == 2 or len(kept) == 2
    names = kept if is_picture and stored.ndim == 3 else list(range(stored.ndim))
    pixels = stored.reshape([stored.shape[::-1][axis] for axis in reversed(names)])
    if axes is None:
        return pixels, tuple(reversed(names)), () if is_picture else (_AS_STORED,)
    directions = axes[names]
    return _picture(pixels, names, directions) if is_picture else _volume(pixels, directions)


def _picture(pixels: NDArray[Any], names: list[int], directions: NDArray[np.float64]) -> _Turned:
    main = np.abs(directions).argmax(axis=1)  # 0 left, 1 posterior, 2 superior
    is_on_its_side = main[1] == 0 or (main[0] == 2 and main[1] == 1)
    if is_on_its_side:
        pixels, names, directions = pixels.T, names[::-1], directions[::-1]
        main = main[::-1]
    is_mirrored = main[0] == 0 and directions[0, 0] < 0
    if is_mirrored:
        pixels = pixels[:, ::-1]
    is_upside_down = main[1] != 0 and directions[1, main[1]] * _DOWN[main[1]] < 0
    if is_upside_down:
        pixels = pixels[::-1]
    is_turned = is_on_its_side or is_mirrored or is_upside_down
    return pixels, (names[1], names[0]), (_TURNED,) if is_turned else ()


def _volume(pixels: NDArray[Any], directions: NDArray[np.float64]) -> _Turned:
    turn = turn_to_lps(directions)
    notes = ((_TURNED,) if turn.is_turning else ()) + turn.notes
    return turn.apply(pixels), turn.file_axes, notes


def _spacing_mm(header: _Header, file_axes: tuple[int, ...]) -> tuple[float, ...] | None:
    unit = _MM_PER_UNIT.get(header.xyzt_units & 7, 1.0)
    spacing = tuple(float(abs(header.pixdim[1 + axis])) * unit for axis in file_axes)
    return spacing if all(0 < value < np.inf for value in spacing) else None


def _display(header: _Header) -> DisplayFacts:
    slope, intercept = header.scl_slope, header.scl_inter
    if slope == 0.0 or not (np.isfinite(slope) and np.isfinite(intercept)):
        return DisplayFacts()
    return DisplayFacts(rescale_slope=slope, rescale_intercept=intercept)
