"""How music is judged by its sound: pure functions of samples and embeddings, with no job, model or file in them."""
