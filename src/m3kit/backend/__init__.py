"""What every backend of the model shares: from texts to batches of token ids, and back."""
