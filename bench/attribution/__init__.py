"""How rightly effects are tied to the tool calls that caused them, on real agents and in all hard forms."""
