"""What each recipe must beat, written as simply as it is meant; tests and examples use them, training does not."""
