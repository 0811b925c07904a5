from csi_predictor.reporting import wording


def test_zones_are_named_in_plain_words() -> None:
    assert wording.zone_title("right_sup") == "Right upper"
    assert wording.zone_title("left_inf") == "Left lower"


def test_numbers_are_rounded_and_undefined_ones_are_a_dash() -> None:
    assert wording.number(0.404) == "0.40"
    assert wording.number(-0.5) == "\u22120.50"  # a true minus sign
    assert wording.number(-0.001) == "0.00"
    assert wording.number(None) == wording.UNDEFINED
    assert wording.percent(0.634) == "63 %"
    assert wording.percent(None) == wording.UNDEFINED


def test_intervals_are_empty_where_there_is_none() -> None:
    assert wording.interval({"mae_ci_low": 0.35, "mae_ci_high": 0.46}, "mae") == "0.35 to 0.46"
    assert wording.interval({"mae_ci_low": None, "mae_ci_high": None}, "mae") == ""
    assert wording.share_interval({"a_ci_low": 0.5, "a_ci_high": 0.75}, "a") == "50 % to 75 %"
    assert wording.share_interval({}, "a") == ""


def test_counts_agree_with_their_noun() -> None:
    assert wording.counted(1, "image", "images") == "1 image"
    assert wording.counted(2303, "image", "images") == "2,303 images"
