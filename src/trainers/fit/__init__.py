"""Training: objective, schedule, input scale, dead latents, one step, the loop."""
