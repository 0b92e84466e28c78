"""Predicts episodes: each distinct image is embedded once per state of the extractor; each task is then a small
product.

If one extractor serves every support set, memory holds the features of all of a source's images, 4 bytes times width
each, and the pixels of FRAMES_A_JOB images. If all tasks share one support set, or an adapter is fitted to it, query
features are discarded as soon as they are classified.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from eval.formats.records import VideoPlan
from orbit_lite.evaluation.source_work import Round, SourceWork, image_of
from orbit_lite.evaluation.table import predictions_table
from orbit_lite.models.recognizer import FittedRecognizer, Recognizer

Answer = tuple[Tensor, Tensor]  # confidence and class of each image, (images,) each


def predict_source(recognizer: Recognizer, work: SourceWork, images: Iterator[Tensor]) -> pd.DataFrame:
    """The predictions of one source. Takes exactly the images of `work.jobs()` from the iterator."""
    answers: dict[int, Answer] = {}
    for one in work.rounds:
        if one.one_support:
            answers |= _predict_once(recognizer, one, images)
        else:
            answers |= predict_from_features(recognizer, one, _embed(recognizer, one, images))
    confidence, prediction = (torch.cat([answers[task.task][part] for task in work.tasks]) for part in (0, 1))
    return predictions_table(work.source, work.tasks, confidence, prediction)


def predict_from_features(recognizer: Recognizer, one: Round, features: Tensor) -> dict[int, Answer]:
    """The answers of a round's tasks by task number; `features` are those of `one.images`, (images, width)."""
    places = {image: place for place, image in enumerate(one.images)}

    def of(plans: Sequence[VideoPlan]) -> Tensor:
        return features[torch.tensor([places[image_of(plan)] for plan in plans], device=features.device)]

    found = {}
    for task in one.tasks:
        fitted = recognizer.personalize_from_features(of(task.support), _labels(task.support), way=task.way)
        found[task.task] = _answer(fitted, of(task.query))
    return found


def _embed(recognizer: Recognizer, one: Round, images: Iterator[Tensor]) -> Tensor:
    """The features of a round's images, (images, width)."""
    features, start = torch.empty(0), 0
    for job in one.image_jobs():
        found = recognizer.embed(next(images))
        if not start:
            features = found.new_empty(len(one.images), found.shape[1])
        features[start : start + len(job.images)] = found
        start += len(job.images)
    return features


def _predict_once(recognizer: Recognizer, one: Round, images: Iterator[Tensor]) -> dict[int, Answer]:
    """Predict the tasks of one support set; query images are embedded and classified as they are read."""
    way, labels = one.tasks[0].way, _labels(one.support)
    teaching = one.support_jobs()
    if recognizer.shares_features:
        features = torch.cat([recognizer.embed(next(images)) for _ in teaching])
        fitted = recognizer.personalize_from_features(features, labels, way=way)
    else:
        fitted = recognizer.personalize(torch.cat([next(images) for _ in teaching]), labels, way=way)
    parts = [_answer(fitted, fitted.embed(next(images))) for _ in one.image_jobs()]
    confidence, prediction = (torch.cat([part[place] for part in parts]).cpu() for place in (0, 1))
    places = {image: place for place, image in enumerate(one.images)}
    found = {}
    for task in one.tasks:
        rows = torch.from_numpy(np.array([places[image_of(plan)] for plan in task.query], np.int64))
        found[task.task] = confidence[rows], prediction[rows]
    return found


def _answer(fitted: FittedRecognizer, features: Tensor) -> Answer:
    confidence, prediction = fitted.logits_from_features(features).softmax(1).max(1)
    return confidence.cpu(), prediction.cpu()


def _labels(plans: Sequence[VideoPlan]) -> Tensor:
    return torch.tensor([plan.label for plan in plans])
