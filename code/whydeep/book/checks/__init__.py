"""What is checked of the book itself: notebooks, words, records, other arithmetics."""
