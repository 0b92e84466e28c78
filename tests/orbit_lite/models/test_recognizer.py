"""The recognizer: fitting returns a value and has no side effects."""

import pytest
import torch
from torch import Tensor

from groundwork.errors import DataError, UsageError
from orbit_lite.config import builtin_names
from orbit_lite.models.recognizer import Recognizer, build_recognizer

LEARNERS = builtin_names("learner")
SIZE_PX = 32


def frames(count: int, *, seed: int = 0, clip: int | None = None) -> Tensor:
    shape = (count, 3, SIZE_PX, SIZE_PX) if clip is None else (count, clip, 3, SIZE_PX, SIZE_PX)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=LEARNERS)
def recognizer(request: pytest.FixtureRequest) -> Recognizer:
    return build_recognizer(request.param, "tiny", weights="random", frame_size_px=SIZE_PX)


def test_a_support_image_is_recognized_again(recognizer: Recognizer) -> None:
    images = frames(4)
    fitted = recognizer.personalize(images, torch.tensor([2, 0, 1, 3]))
    assert fitted.logits(images).argmax(dim=1).tolist() == [2, 0, 1, 3]
    assert fitted.way == 4


def test_recognizers_of_two_users_coexist(recognizer: Recognizer) -> None:
    queries = frames(5, seed=9)
    alice = recognizer.personalize(frames(4, seed=1), torch.tensor([0, 1, 0, 1]))
    before = alice.logits(queries)
    bob = recognizer.personalize(frames(6, seed=2), torch.tensor([0, 1, 2, 0, 1, 2]))
    assert torch.equal(alice.logits(queries), before)
    assert bob.logits(queries).shape == (5, 3)


def test_fitting_leaves_the_module_as_it_was(recognizer: Recognizer) -> None:
    before = {name: value.clone() for name, value in recognizer.state_dict().items()}
    held = set(vars(recognizer))
    fitted = recognizer.personalize(frames(4), torch.tensor([0, 1, 0, 1]))
    assert not fitted.logits(frames(2)).requires_grad
    assert not recognizer.embed(frames(2)).requires_grad  # otherwise a video's graph would be kept with its features
    assert set(vars(recognizer)) == held
    assert all(torch.equal(before[name], value) for name, value in recognizer.state_dict().items())
    assert all(parameter.grad is None for parameter in recognizer.parameters())


def test_chunks_do_not_change_the_logits(recognizer: Recognizer) -> None:
    """In float64, because float32 rounding depends on batch and processor, and fitting by steps amplifies it."""
    recognizer.double()
    support, labels, queries = frames(7), torch.tensor([0, 1, 0, 1, 0, 1, 1]), frames(5, seed=3)
    whole = recognizer.personalize(support, labels, chunk=100).logits(queries, chunk=100)
    cut = recognizer.personalize(support, labels, chunk=2).logits(queries, chunk=3)
    torch.testing.assert_close(whole, cut, rtol=1e-9, atol=1e-9)


def test_features_give_the_same_logits_as_images(recognizer: Recognizer) -> None:
    support, labels, queries = frames(4), torch.tensor([0, 1, 0, 1]), frames(5, seed=3)
    fitted = recognizer.personalize(support, labels)
    expected = fitted.logits(queries)
    if not recognizer.shares_features:
        with pytest.raises(ValueError, match="fitted to images"):
            recognizer.personalize_from_features(recognizer.embed(support), labels)
        assert torch.equal(fitted.logits_from_features(fitted.embed(queries)), expected)
        return
    again = recognizer.personalize_from_features(recognizer.embed(support), labels)
    assert torch.equal(again.logits_from_features(recognizer.embed(queries)), expected)
    assert torch.equal(fitted.logits_from_features(fitted.embed(queries)), expected)


def test_a_clips_features_are_the_mean_of_its_frames(recognizer: Recognizer) -> None:
    recognizer.double()
    clips = frames(3, clip=4)
    expected = recognizer.embed(clips.flatten(0, 1)).reshape(3, 4, -1).mean(dim=1)
    torch.testing.assert_close(recognizer.embed(clips), expected)
    torch.testing.assert_close(recognizer.embed(clips, chunk=5), expected)  # one clip at a time
    # a clip of identical frames equals that frame
    still = frames(2)[:, None].expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(recognizer.embed(still), recognizer.embed(frames(2)))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (frames(3).float(), torch.tensor([0, 1, 0]), "float32"),
        (frames(3)[..., :31], torch.tensor([0, 1, 0]), r"\(3, 3, 32, 31\)"),
        (frames(3)[:0], torch.tensor([], dtype=torch.int64), "no image"),
        (frames(3), torch.tensor([0, 1]), r"\(2,\); expected \(3,\)"),
        (frames(3), torch.tensor([0, 2, 2]), "class 1 has no item"),
        (frames(3), torch.tensor([0, 1, 1], dtype=torch.int32), "int32"),
    ],
)
def test_invalid_support_sets_are_refused(recognizer: Recognizer, images: Tensor, labels: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        recognizer.personalize(images, labels)


NO_FEATURES = "item 0 has NaN or infinite features|support images: the loss is nan at (step 1 of 50|inner step 1 of)"
# One weight of each part, and the message if a learner has that part.
DIVERGED = {
    "extractor.net.0.weight": NO_FEATURES,
    "extractor.net.1.bias": NO_FEATURES,
    "adapter.set_encoder.encoder.layer1.0.weight": "support images, set encoder: item 0 has NaN",
    "adapter.generator.regularizers.0": "item 0 has NaN or infinite features",
    "adapter.generator.generators.0.block.0.weight": "item 0 has NaN or infinite features",
    "adapter.extractor_rates.log_scales": "the parameters are NaN or infinite at inner step 1 of",
    "adapter.head_rates.log_scales": "the parameters are NaN or infinite at inner step 1 of",
    "head.weight_processor.linear1.weight": "the fitted head has NaN or infinite weight",
    "head.bias_processor.linear3.bias": "the fitted head has NaN or infinite bias",
    "head.block.query.weight": "the fitted head has NaN or infinite prototypes",
    "head.block.norm.bias": "the fitted head has NaN or infinite prototypes",
}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_diverged_weights_are_detected(recognizer: Recognizer, wrong: float) -> None:
    parameters = dict(recognizer.named_parameters())
    for weight in DIVERGED.keys() & parameters.keys():
        kept = parameters[weight].detach().clone()
        with torch.no_grad():
            parameters[weight].fill_(wrong)
        with pytest.raises(DataError, match=f"({DIVERGED[weight]}).*(diverged|not finite)"):
            recognizer.personalize(frames(2), torch.tensor([0, 1]))
        with torch.no_grad():
            parameters[weight].copy_(kept)
    recognizer.personalize(frames(2), torch.tensor([0, 1]))  # otherwise the errors above had another cause


def test_every_learners_parts_are_among_the_diverged(recognizer: Recognizer) -> None:
    """Identified by their second name (`net`, `set_encoder`); a part without a weight above fails."""
    tried = {weight.split(".")[:2][-1] for weight in DIVERGED}
    assert {name.split(".")[:2][-1] for name, _ in recognizer.named_parameters()} <= tried


def test_features_that_are_not_finite_are_found() -> None:
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=SIZE_PX)
    with pytest.raises(DataError, match="support features: item 1"):
        recognizer.personalize_from_features(torch.tensor([[0.0], [float("inf")]]), torch.tensor([0, 1]))


def test_an_unknown_learner_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'protonet' \(did you mean 'protonets'\?\); known: .* protonets, "):
        build_recognizer("protonet", "tiny", weights="random")


def test_bfloat16_encodings_are_near_and_float32() -> None:
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=SIZE_PX)
    with torch.no_grad():
        plain, rounded = (recognizer.extractor.encode(frames(4), bf16=bf16) for bf16 in (False, True))
    assert rounded.dtype == torch.float32
    assert 0 < (plain - rounded).norm() < 0.05 * plain.norm()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_images_stay_on_their_device_and_logits_are_on_the_recognizers() -> None:
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=SIZE_PX)
    expected = recognizer.personalize(frames(4), torch.tensor([0, 1, 0, 1])).logits(frames(3))
    logits = recognizer.cuda().personalize(frames(4), torch.tensor([0, 1, 0, 1])).logits(frames(3))
    assert logits.is_cuda
    torch.testing.assert_close(logits.cpu(), expected, rtol=1e-2, atol=1e-2)
