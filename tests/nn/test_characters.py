"""The letters of a word become a vector that padding does not touch."""

import torch

from karussell.nn.characters import Characters


def test_a_word_is_the_last_states_of_both_directions() -> None:
    letters = Characters(10, 4, 3)
    words = torch.randint(10, (6, 2))
    found = letters(words, torch.tensor([6, 4]))
    for u, length in enumerate((6, 4)):
        y, _ = letters.lstm(letters.letters(words[:length, u : u + 1]))
        torch.testing.assert_close(found[u], torch.cat([y[-1, 0, :3], y[0, 0, 3:]]))


def test_what_lies_beyond_a_word_changes_nothing() -> None:
    letters = Characters(10, 4, 3)
    words = torch.randint(10, (6, 2))
    other = words.clone()
    other[4:, 1] = 9
    lengths = torch.tensor([6, 4])
    torch.testing.assert_close(letters(words, lengths), letters(other, lengths), rtol=0, atol=0)
