"""Knowledge: labelled questions, ranking, hostile folders."""
