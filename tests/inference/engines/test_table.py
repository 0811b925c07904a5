"""The names of the engines, here and in the INI."""

from typing import get_args

from csi_predictor.config.choices import BenchmarkEngine
from csi_predictor.inference.engines.table import BF16_SUFFIX, ENGINES, split_engine


def test_the_ini_accepts_each_engine_in_both_precisions_and_nothing_else() -> None:
    every = {name + suffix for name in ENGINES for suffix in ("", BF16_SUFFIX)}
    assert set(get_args(BenchmarkEngine)) == every


def test_a_word_is_engine_and_precision() -> None:
    assert split_engine("channels_last") == ("channels_last", "fp32")
    assert split_engine("openvino-bf16") == ("openvino", "bf16")
