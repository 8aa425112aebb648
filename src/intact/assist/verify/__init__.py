"""The verifier: evidence is got again, every number of an answer is looked for in it, and what does not hold is struck out."""
