"""What a model was asked and answered, one file a wire API."""
