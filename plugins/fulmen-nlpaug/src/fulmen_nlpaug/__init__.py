"""Text augmentation with nlpaug, offline and without damage to what is not augmented, for Fulmen."""
