"""GGUF files, as llama.cpp reads them: sizes, weights and tokenizer of a model."""
