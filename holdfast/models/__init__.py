"""The model in a checkpoint's folder: its tokenizer, template, thoughts and quantisation."""
