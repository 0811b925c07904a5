from io import BytesIO

import matplotlib as mpl
from PIL import Image

from csi_predictor.reporting.chart import draw_png


def test_drawing_leaves_no_global_style_behind() -> None:
    before = dict(mpl.rcParams)
    content = draw_png(2, 1, lambda figure: figure.add_subplot().plot([0, 1]))
    assert dict(mpl.rcParams) == before
    with Image.open(BytesIO(content)) as picture:
        assert picture.size == (320, 160)
