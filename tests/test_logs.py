"""Where log lines go."""

from pathlib import Path

import pytest
from loguru import logger

from csi_predictor.logs import add_log_file, close_log_file, start_console_log


def test_lines_of_the_file_alone_are_not_on_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start_console_log("INFO")
    sink = add_log_file(tmp_path, "INFO")
    logger.info("for both")
    logger.bind(file_only=True).error("for the file")
    close_log_file(sink)
    logger.info("for the console")
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    shown = capsys.readouterr().err
    assert "for both" in text
    assert "for the file" in text
    assert "for the console" not in text
    assert "for both" in shown
    assert "for the file" not in shown
