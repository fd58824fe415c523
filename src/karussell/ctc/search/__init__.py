"""Search: from log-probabilities to texts, with language models, lexica and phrases."""

from karussell.ctc.search.config import Beam, Weights
from karussell.ctc.search.decoder import Decoder, PrefixModel, Stream
from karussell.ctc.search.graves import prefix_search, token_passing
from karussell.ctc.search.lexicon import Lexicon, read_tokens
from karussell.ctc.search.writing import Writing

__all__ = [
    "Beam",
    "Decoder",
    "Lexicon",
    "PrefixModel",
    "Stream",
    "Weights",
    "Writing",
    "prefix_search",
    "read_tokens",
    "token_passing",
]
