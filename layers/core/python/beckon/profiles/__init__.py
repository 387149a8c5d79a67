"""What a person's own events say of them: interests with their evidence, prices, habits, languages."""
