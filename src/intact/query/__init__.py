"""Questions over the store; the only road by which anything reads it."""
