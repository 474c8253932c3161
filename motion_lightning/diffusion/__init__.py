"""Diffusion without networks: process, samplers, guidance, timesteps and noise, loss weights."""
