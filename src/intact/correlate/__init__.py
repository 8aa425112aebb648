"""The process tree, the turns, and which words caused which effect."""
