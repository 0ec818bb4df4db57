"""The Hugging Face Hub: what ``hf://owner/name[@revision]`` means. Asked only for what is written so."""
