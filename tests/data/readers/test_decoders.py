import logging

import pytest
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from csi_predictor.data.readers import decoders
from csi_predictor.data.readers.decoders import DECODERS, DecodingError, decode, decoder_name


def test_no_transfer_syntax_is_left_to_gdcm_or_to_chance() -> None:
    compressed = {syntax for syntax in DECODERS if uid.UID(syntax).is_encapsulated}
    assert {DECODERS[syntax].plugin for syntax in compressed} == {
        "imagecodecs",
        "pillow",
        "pylibjpeg",
    }


def test_all_the_usual_transfer_syntaxes_have_a_decoder() -> None:
    # The table of reference/dicom_cases.md: pydicom 3.0's decoders are all there is.
    for syntax in DECODERS:
        assert syntax == get_decoder(syntax).UID
    assert len(DECODERS) == 16


@pytest.mark.parametrize("syntax", DECODERS)
def test_a_decoder_is_named_with_its_version(syntax: str) -> None:
    package, version = decoder_name(syntax).split(" ")
    assert package == DECODERS[syntax].package
    assert version[0].isdigit()


@pytest.mark.parametrize("syntax", decoders.DECODER_DEPENDENCIES)
def test_imagecodecs_was_built_with_what_the_table_promises(syntax: str) -> None:
    assert decoders.is_available(syntax)


class _PanicException(BaseException):
    pass


_PanicException.__name__ = "PanicException"


class _Failing:
    available_plugins = ("pylibjpeg",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def as_array(self, *_: object, **__: object) -> None:
        raise self.error


@pytest.mark.parametrize("error", [_PanicException("x"), RuntimeError("Canary"), MemoryError()])
def test_a_failing_decoder_becomes_one_error_without_its_text(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(decoders, "get_decoder", lambda _: _Failing(error))
    with pytest.raises(DecodingError, match=type(error).__name__) as caught:
        decode(None, uid.RLELossless)  # type: ignore[arg-type]
    assert "Canary" not in str(caught.value)


def test_an_interrupt_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "get_decoder", lambda _: _Failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        decode(None, uid.RLELossless)  # type: ignore[arg-type]
    assert logging.getLogger("pydicom").propagate
