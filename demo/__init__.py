"""The demo: a real agent does a small real task against a stand-in for a model's API, and Intact says why."""
