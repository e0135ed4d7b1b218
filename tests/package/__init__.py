"""The wheel, away from the checkout."""
