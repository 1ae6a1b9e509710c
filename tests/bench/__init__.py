"""Speed, as ratios between cases of one run: machines are noisy, so a figure alone says little."""
