"""What classifiers and taggers have in common: what the network sees of a sequence, batches of it, and the encoder."""
