"""The exported graph computes the same as the personal recognizer, for every learner, and does not change it."""

import numpy as np
import onnxruntime
import pytest
import torch

from orbit_lite.config import builtin_names
from orbit_lite.models.engines.onnx_graph import onnx_model
from orbit_lite.models.heads import find_head
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.decision.calibration import Calibration
from orbit_lite.personal.decision.confidence import confidences
from orbit_lite.personal.decision.familiarity import Familiarity, nearest_cosine, object_means
from orbit_lite.personal.exporting.formats import onnx_bytes
from orbit_lite.personal.exporting.graph import FLOAT, OUTPUTS, UINT8, AnswerGraph, PersonalGraph
from orbit_lite.personal.recognizer import PersonalRecognizer, SupportSet, TaughtVideo

SIZE_PX = 32
LEARNERS = [load_learner(name) for name in builtin_names("learner")]
LEARNERS.append(LearnerConfig(name="logistic", head="logistic", extractor="frozen"))


def frames(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)


def taught(learner, seed=2):
    """Two objects with six frames of uneven videos; FiLM, if any, is far from the network's own parameters."""
    recognizer = build_recognizer(learner, "tiny", weights="random", seed=seed, frame_size_px=SIZE_PX)
    if recognizer.learner.adapter == "generator":
        with torch.no_grad():
            for regularizer in recognizer.adapter.generator.regularizers:
                regularizer.fill_(0.3)
    kinds = [("bag", (1, 31)), ("bag", (1,)), ("mug", (1, 31, 61))]
    videos = tuple(TaughtVideo(name, 90, frames, str(number)) for number, (name, frames) in enumerate(kinds))
    images = frames(6)
    fitted = recognizer.personalize(images, torch.tensor([0, 0, 0, 1, 1, 1]))
    spread = float(fitted.logits(images).std())
    calibration = Calibration(temperature=0.4 * spread, familiarity=Familiarity(0.8 / spread, 20.0, -11.0))
    return PersonalRecognizer(fitted, "alice", SupportSet(videos, fitted.embed(images)), calibration)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("takes", [UINT8, FLOAT])
@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_it_gives_the_recognizers_logits_and_scores(learner, takes, channels_last):
    personal = taught(learner)
    state = personal.fitted.state
    before = {name: value.clone() for name, value in personal.fitted.recognizer.state_dict().items()}
    images = frames(5, seed=9)
    graph = PersonalGraph.of(personal, takes=takes, channels_last=channels_last)
    with torch.no_grad():
        logits, probabilities, familiarity = graph(images if takes == UINT8 else images / 255)
    scores = personal.scores(images)
    torch.testing.assert_close(logits, personal.fitted.logits(images), rtol=1e-3, atol=1e-4)
    for given, own in ((probabilities, scores.probabilities), (familiarity, scores.familiarity)):
        torch.testing.assert_close(given.double(), torch.from_numpy(own), rtol=1e-3, atol=1e-3)
    after = personal.fitted.recognizer.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    if state is not None:  # FiLM must make a difference, or the test would not show that it is included
        plain = personal.fitted.recognizer.embed(images)
        assert not torch.allclose(plain, personal.fitted.embed(images), rtol=1e-2)


def test_it_holds_copies_and_nothing_of_single_frames():
    personal = taught(load_learner("protonets"))
    graph = PersonalGraph.of(personal)
    images = frames(2)
    with torch.no_grad():
        before = graph(images)[0]
        for parameter in personal.fitted.recognizer.parameters():
            parameter.zero_()
        assert torch.equal(graph(images)[0], before)
    features = personal.support.features
    rows = [value for value in graph.state_dict().values() if value.shape[1:] == features.shape[1:]]
    assert rows  # for example the objects' means
    assert not any((value[:, None] == features).all(-1).any() for value in rows)
    assert not any(parameter.requires_grad for parameter in graph.parameters())


@pytest.mark.parametrize("head", ["ridge", "lda"])
@pytest.mark.parametrize("rooted", [True, False])
def test_closed_form_heads_in_onnx(head, rooted, tmp_path):
    """The head alone, with and without its roots: queries of either sign, zeros among them."""
    features = torch.rand(12, 40, generator=torch.Generator().manual_seed(1)) - (0.0 if rooted else 0.5)
    queries = torch.rand(7, 40, generator=torch.Generator().manual_seed(2)) - 0.3
    queries[0] = 0
    record = find_head(head)
    built = record.build(LearnerConfig(head=head, extractor="frozen"), record.settings(), 40)
    fitted = built.fit(features, torch.arange(12) % 3, way=3)
    assert fitted.rooted == rooted
    labels = torch.arange(12) % 3
    means = object_means(features, labels, torch.arange(12), way=3)
    calibration = Calibration(temperature=0.7, familiarity=Familiarity(0.5, 8.0, -3.0))
    model = onnx_model(AnswerGraph(fitted, means, calibration).eval(), queries[:2], takes="features", gives=OUTPUTS)
    session = onnxruntime.InferenceSession(onnx_bytes(model, {}), providers=["CPUExecutionProvider"])
    logits, probabilities, familiarity = session.run(list(OUTPUTS), {"features": queries.numpy()})
    own = fitted.logits(queries).numpy()
    near = calibration.familiarity(own.max(axis=1), nearest_cosine(queries, means))
    np.testing.assert_allclose(logits, own, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(probabilities, confidences(own, 0.7), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(familiarity, near, rtol=1e-3, atol=1e-3)
