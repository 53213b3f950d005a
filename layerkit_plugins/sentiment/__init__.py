"""The sentiment recipe: tweets into words, words into ids, ids into batches, batches into a classifier."""
