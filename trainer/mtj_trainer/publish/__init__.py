"""Publishing: a folder with the model's weights, sizes and tokenizer, and a card that says what it is."""
