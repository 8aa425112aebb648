"""What a question asks, by word lists and small grammars: `times`, `entities` and `asked` are for all experts."""
