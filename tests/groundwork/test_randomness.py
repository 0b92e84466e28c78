from groundwork.randomness import keyed_rng, keyed_seed


def test_the_same_keys_give_the_same_draw_and_others_another():
    draws = {keyed_rng(*keys).random() for keys in [(1, "P177", 3), (1, "P177", 4), (1, "P178", 3), (2, "P177", 3)]}
    assert len(draws) == 4
    assert keyed_rng(1, "P177", 3).random() in draws


def test_a_key_is_not_the_text_of_a_neighbouring_one():
    assert keyed_rng(1, "a", "bc").random() != keyed_rng(1, "ab", "c").random()
    assert 0 <= keyed_seed(1, "a") < 2**63
