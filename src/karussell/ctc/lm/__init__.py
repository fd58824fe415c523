"""N-gram language models: trained, read and written in the formats people have, asked for probabilities."""

from karussell.ctc.lm.model import LanguageModel
from karussell.ctc.lm.perplexity import Perplexity, perplexity
from karussell.ctc.lm.training import Trained, train

__all__ = ["LanguageModel", "Perplexity", "Trained", "perplexity", "train"]
