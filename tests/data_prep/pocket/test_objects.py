"""The pocket set's objects: which ones a user owns, and what they look like."""

import itertools

import numpy as np
import pytest

from data_prep.pocket.objects import MOST_OBJECTS, PALETTE, TEXTURES, Look, draw_hand, draw_sprite, user_looks
from data_prep.pocket.shapes import SHAPES, silhouette

USERS = [f"P{number}" for number in range(1001, 1061)]


def test_a_users_first_objects_do_not_depend_on_how_many_they_own() -> None:
    most = user_looks(0, "P1001", MOST_OBJECTS)
    assert all(user_looks(0, "P1001", count) == most[:count] for count in range(2, MOST_OBJECTS))
    assert user_looks(1, "P1001", 5) != user_looks(0, "P1001", 5) != user_looks(0, "P1002", 5)


@pytest.mark.parametrize("user", USERS)
def test_a_users_objects_differ_in_shape_and_share_three_colors(user: str) -> None:
    looks = user_looks(0, user, MOST_OBJECTS)
    assert len({look.shape for look in looks}) == len({look.name for look in looks}) == MOST_OBJECTS
    assert len({color for look in looks for color in look.colors}) == 3
    assert all(look.colors[0] != look.colors[1] for look in looks)


def test_users_recombine_the_same_shapes_textures_and_colors() -> None:
    looks = [look for user in USERS for look in user_looks(0, user, 5)]
    assert {look.shape for look in looks} == set(SHAPES)
    assert {look.texture for look in looks} == set(TEXTURES)
    assert {color for look in looks for color in look.colors} == set(PALETTE)
    assert len({(look.shape, look.texture, look.colors) for look in looks}) > 0.95 * len(looks)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_fills_its_canvas_and_is_not_cut_off(shape: str) -> None:
    mask = silhouette(SHAPES[shape], 96)
    ys, xs = np.nonzero(mask > 0.5)
    assert max(np.ptp(xs), np.ptp(ys)) + 1 == pytest.approx(0.94 * 96, abs=2)
    assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
    assert 0.1 < mask.mean() < 0.8
    assert mask.min() == 0
    assert mask.max() == 1


def test_no_two_shapes_are_alike() -> None:
    masks = {name: silhouette(parts, 64) > 0.5 for name, parts in SHAPES.items()}
    for (_, one), (_, other) in itertools.combinations(masks.items(), 2):
        assert (one & other).sum() / (one | other).sum() < 0.85


@pytest.mark.parametrize("texture", sorted(set(TEXTURES) - {"plain"}))
def test_every_texture_shows_both_colors(texture: str) -> None:
    picture = draw_sprite(Look("boot", texture, ("white", "charcoal"), seed=3)).levels[0]
    inside = picture[picture[..., 3] == 255][:, :3].mean(axis=1)
    assert 0.1 < (inside > 150).mean() < 0.9
    assert 0.1 < (inside < 100).mean() < 0.9


def test_smaller_levels_show_the_same_object() -> None:
    sprite = draw_sprite(user_looks(0, "P1001", 1)[0])
    assert [level.shape for level in sprite.levels] == [(192, 192, 4), (96, 96, 4), (48, 48, 4)]
    np.testing.assert_allclose(*(level.mean(axis=(0, 1)) for level in sprite.levels[::2]), atol=1)
    assert sprite.area_px == pytest.approx(sprite.levels[0][..., 3].sum() / 255, rel=0.01)


def test_hands_have_several_skin_tones() -> None:
    hands = [draw_hand(np.random.default_rng(seed)).levels[0] for seed in range(12)]
    assert len({hand[100, 96, :3].tobytes() for hand in hands}) >= 3
