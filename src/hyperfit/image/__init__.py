"""What is different for pictures: reading them, pixels as tokens, pictures drawn here, measures of pictures."""
