"""Knowledge: folders of documents as cited chunks, found by words in Chinese and English."""
