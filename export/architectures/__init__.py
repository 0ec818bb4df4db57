"""The networks that can be exported, one folder each."""
