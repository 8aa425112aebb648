"""The experts, one file each."""
