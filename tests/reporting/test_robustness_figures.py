"""The pictures and the part of the report that tell of damaged and mirrored images."""

import copy
import re
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from csi_predictor.data.corruptions import CORRUPTIONS
from csi_predictor.evaluation.quantization import Answers, main_figure
from csi_predictor.evaluation.robustness import (
    laterality_block,
    light_figures,
    robustness_block,
)
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.reporting.page import page_environment
from csi_predictor.reporting.robustness_figures import (
    FIGURE_WORDS,
    draw_corruption_examples,
    draw_robustness,
)
from csi_predictor.reporting.wording import number
from csi_predictor.specs import MIRRORED_ZONE_INDEX, TargetSpec

KINDS = tuple(CORRUPTIONS)


def worse(answers: Answers, share: float, seed: int) -> Answers:
    """Answers mixed with chance."""
    rng = np.random.default_rng(seed)
    if isinstance(answers, Predictions):
        chance = rng.dirichlet(np.full(4, 0.2), answers.targets.shape)
        return replace(answers, grade_probs=(1 - share) * answers.grade_probs + share * chance)
    chance = rng.dirichlet(np.full(answers.probs.shape[1], 0.5), len(answers))
    return replace(answers, probs=(1 - share) * answers.probs + share * chance)


def block_of(
    clean: Answers, names: tuple[str, ...] = KINDS, *, rounds: int = 30, steps: float = 0.19
) -> dict[str, Any]:
    resampling = resample_patients(clean.patient_ids, rounds=rounds, seed=0)
    figures = {
        name: [
            light_figures(worse(clean, steps * severity, severity + 7 * n), clean, resampling)
            for severity in range(1, 6)
        ]
        for n, name in enumerate(names)
    }
    block = robustness_block(
        light_figures(clean, clean, resampling),
        figures,
        main=main_figure(clean),
        resampling=resampling,
        rounds=rounds,
        seed=0,
    )
    return {"n_images_evaluated": len(clean), **block}


@pytest.fixture(scope="module", params=["zones", "labels", "classes"])
def block(request, case, label_case) -> dict[str, Any]:
    labels = label_case.predictions
    answers = {"zones": case.predictions, "labels": labels, "classes": as_classes(labels)}
    return block_of(answers[request.param], KINDS if request.param == "zones" else KINDS[4:7])


def as_classes(labels: LabelPredictions) -> LabelPredictions:
    """The same images, each of the class that is its likeliest label."""
    probs = labels.probs / labels.probs.sum(axis=1, keepdims=True)
    return replace(
        labels,
        target_spec=TargetSpec(task="multiclass", names=labels.names, num_classes=3),
        targets=probs.argmax(axis=1)[:, None].astype(float),
        probs=probs,
        thresholds=(),
    )


def opened(content: bytes) -> Image.Image:
    picture = Image.open(BytesIO(content))
    assert picture.format == "PNG"
    return picture


def test_every_task_has_a_figure_with_ink(block) -> None:
    figures = draw_robustness(block)
    assert list(figures) == ["robustness.png"]
    assert np.asarray(opened(figures["robustness.png"]).convert("L")).std() > 10
    assert block["main"] in FIGURE_WORDS


def test_equal_blocks_give_equal_bytes(case) -> None:
    block = block_of(case.predictions, ("noise",))
    assert draw_robustness(block) == draw_robustness(block)


@pytest.mark.parametrize("count", [1, 5])
def test_a_panel_is_drawn_for_each_kind(case, count: int) -> None:
    figures = draw_robustness(block_of(case.predictions, KINDS[:count]))
    width, height = opened(figures["robustness.png"]).size
    assert (height > 800) == (count > 4)
    assert (width > 1500) == (count > 3)


def test_without_damage_or_figures_nothing_breaks(case) -> None:
    assert draw_robustness(block_of(case.predictions, ())) == {}
    unknown = np.full_like(case.predictions.targets, np.nan)
    undefined = block_of(replace(case.predictions, targets=unknown), ("noise",), rounds=0)
    assert undefined["clean"]["zone_qwk"] is None
    assert set(draw_robustness(undefined)) == {"robustness.png"}


def test_agreement_below_chance_stays_in_the_picture(case) -> None:
    low = copy.deepcopy(block_of(case.predictions, ("noise",)))
    high = draw_robustness(low)["robustness.png"]
    low["corruptions"]["noise"]["severities"][4]["zone_qwk"] = -0.6
    assert draw_robustness(low)["robustness.png"] != high


def test_examples_are_laid_out_side_by_side() -> None:
    rng = np.random.default_rng(0)
    grey = {f"kind {n}": rng.random((12, 9), dtype=np.float32) for n in range(6)}
    two_lines = opened(draw_corruption_examples(grey)).size
    one_line = opened(draw_corruption_examples(dict(list(grey.items())[:5]))).size
    assert two_lines[0] == one_line[0]
    assert two_lines[1] == pytest.approx(2 * one_line[1], abs=2)


def test_examples_in_colour_keep_their_colour() -> None:
    red = np.zeros((3, 20, 20), dtype=np.float32)
    red[0] = 1
    picture = np.asarray(opened(draw_corruption_examples({"red": red})).convert("RGB"))
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
    assert tuple(middle) == (255, 0, 0)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no picture: expected at least one"):
        draw_corruption_examples({})
    text = r"Noise has shape \(2, 4, 4\): expected \(H, W\) or \(3, H, W\)"
    with pytest.raises(ValueError, match=text):
        draw_corruption_examples({"Noise": np.zeros((2, 4, 4))})


def render(robustness: Any, laterality: Any = None, *names: str) -> str:
    figures = dict.fromkeys(("robustness.png", *names), "data:image/png;base64,AA==")
    metrics = {"robustness": robustness, "laterality": laterality}
    template = page_environment().get_template("robustness.html.j2")
    text = template.render(metrics=metrics, figures=figures)
    return re.sub(r"\s+", " ", text)


def test_the_part_says_what_was_found_for_every_task(block) -> None:
    text = render(block)
    worst = block["corruptions"][block["worst"]]
    title = worst["title"] if worst["title"] == "JPEG" else worst["title"].lower()
    assert f"suffers most from {title}: on average over the five strengths it falls by" in text
    assert number(worst["mean_drop"]) in text
    assert "40 images of 20 patients were damaged on purpose" in text
    assert f"{len(block['corruptions'])} kinds of damage, each at five strengths" in text
    assert f"against {number(block['clean']['ece'])} undamaged" in text
    for kind in block["corruptions"].values():
        assert kind["title"] in text
        assert kind["unit"] in text
        for each in kind["severities"]:
            shown = f"{number(each[block['main']])}<small>{each['strength']:g}</small>"
            assert shown in text
    assert "What strength 3 looks like" not in text
    assert "What strength 3 looks like" in render(block, None, "corruptions.png")
    assert "not divided by that of a reference network" in text


def test_drawn_images_are_said_to_be_so(case) -> None:
    some = {**block_of(case.predictions), "n_images_evaluated": 1234}
    assert "40 images, drawn from the 1,234 evaluated, of 20 patients" in render(some)


def test_damage_that_may_be_chance_is_not_called_harm(label_case) -> None:
    still = block_of(label_case.predictions, ("crop", "jpeg"), steps=0.0)
    text = render(still)
    assert "Under no kind does it fall beyond chance; the largest mean drop is 0.00" in text
    blind = render(block_of(label_case.predictions, ("jpeg",), rounds=0))
    assert "beyond chance, as far as can be told without intervals" in blind
    assert "under JPEG." in blind


def test_a_part_of_the_kinds_beyond_chance_is_named(case) -> None:
    some = {**block_of(case.predictions), "beyond_chance": ["blur", "jpeg"]}
    assert "Beyond chance it falls under blur, JPEG alone." in render(some)


def test_one_image_and_undefined_figures_are_borne(case) -> None:
    one = case.predictions.take(np.array([0]))
    assert "1 image of 1 patient was damaged on purpose" in render(block_of(one, ("noise",)))
    unknown = replace(one, targets=np.full((1, 6), np.nan))
    text = render(block_of(unknown, ("noise",)))
    assert "suffers most" not in text
    assert "–" in text


def test_what_was_not_measured_is_not_shown(case) -> None:
    assert render(None).strip() == ""
    assert render(block_of(case.predictions, ())).strip() == ""


def test_sides_that_follow_the_image_are_told(case) -> None:
    kept = case.predictions
    swapped = replace(kept, grade_probs=kept.grade_probs[:, list(MIRRORED_ZONE_INDEX)])
    text = render(None, laterality_block(kept, swapped, rounds=30))
    assert "Does the model tell right from left?" in text
    assert "The grades change sides with the image" in text
    assert "card notes" not in text
    assert "100 %" in text


def test_sides_that_stay_are_a_warning(case) -> None:
    text = render(None, laterality_block(case.predictions, case.predictions, rounds=30))
    assert re.search(r'<ul class="card notes".*its sides can&#39;t be trusted', text)
    assert text.count("do not change sides") == 1


def test_texts_are_escaped(case) -> None:
    hostile = copy.deepcopy(block_of(case.predictions, ("noise",)))
    hostile["corruptions"]["noise"]["title"] = "<script>"
    text = render(hostile)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
