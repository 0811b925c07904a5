"""How every HTML page is made: its templates, its filters, and nothing that asks a network."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from csi_predictor.reporting import wording

_TEMPLATES = Path(__file__).with_name("templates")


def page_environment() -> Environment:
    """Templates that escape every text and fail on an unknown name."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "percent": wording.percent,
        "thousands": wording.thousands,
        "zone_title": wording.zone_title,
    }
    environment.globals |= {
        "interval": wording.interval,
        "share_interval": wording.share_interval,
        "counted": wording.counted,
    }
    return environment
